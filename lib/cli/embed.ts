import { throwIfCancelled } from '../errors.js';
import type { InputEmbedding } from '../options.js';
import type { Context } from './context.js';
import { failureJson } from './formats.js';
import { type RunFlags, runFilms } from './run-films.js';

function embeddingJson({
  data,
  length,
  dim,
  startMs,
  endMs,
  ...of
}: InputEmbedding): Record<string, unknown> {
  return {
    ...of,
    dim,
    length,
    ...(startMs && endMs && { startMs: [...startMs], endMs: [...endMs] }),
    vectors: Array.from({ length }, (_, i) => [...data.subarray(i * dim, (i + 1) * dim)]),
  };
}

/** `cinefuse embed`: what the bundle's encoders make of each input, as one JSON line a film. */
export async function embedCommand(paths: string[], flags: RunFlags, context: Context): Promise<number> {
  return runFilms<InputEmbedding[]>(paths, flags, context, {
    writer: () => ({
      start: () => '',
      film: (source, { id, title }, embeddings) =>
        `${JSON.stringify({ source, ok: true, id, title, embeddings: embeddings.map(embeddingJson) })}\n`,
      failure: (source, error) => `${JSON.stringify(failureJson(source, error))}\n`,
    }),
    async *work(predictor, movies) {
      const options = {
        signal: context.signal,
        onInputError: flags.skipBadInputs ? ('skip' as const) : ('throw' as const),
      };
      for await (const movie of movies) {
        try {
          yield { ok: true, result: await predictor.embed(movie, options) };
        } catch (error) {
          throwIfCancelled(context.signal);
          yield { ok: false, error };
        }
      }
    },
  });
}
