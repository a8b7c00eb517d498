/** `cinefuse/ask`: questions about films, answered from what is on record of them. */
export { type Bm25Options, Bm25Index } from './bm25.js';
export type { Source } from './facts.js';
export { type GgufOptions, ggufModel } from './gguf-model.js';
export {
  type ChatMessage,
  type CompletionOptions,
  type EndpointOptions,
  endpointModel,
  type LanguageModel,
} from './language-model.js';
export {
  type Answer,
  type AskOptions,
  QuestionAnswerer,
  type QuestionAnswererOptions,
} from './question-answerer.js';
export type { FactField, TextField } from './records.js';
