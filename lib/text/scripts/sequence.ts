/** A whole script through a text encoder: as many vectors as it takes, each with its place. Nothing is cut off. */
import { InputError } from '../../errors.js';
import type { TextModels } from '../../text-models.js';
import type { TextEmbedding } from '../text-encoder.js';
import type { ScriptScene } from './types.js';

/** What a script is read as: `data` is (length, dim), `spans` the place of each vector's text in the script. */
export interface ScriptSequence extends TextEmbedding {
  /** The encoder's name. */
  encoder: string;
  /** Of each vector: the middle of its text, as a share of the script's length. Rising. */
  positions: Float64Array;
  /** Of each vector: the scene in which its text begins; -1 before the first. */
  scenes: Int32Array;
}

/**
 * @param prose  as long as the script
 * @throws InputError ERR_INPUT_LANGUAGE  no encoder of the bundle reads it
 */
export async function encodeProse(
  prose: string,
  scenes: readonly ScriptScene[],
  language: string,
  models: TextModels,
  signal: AbortSignal | undefined,
): Promise<ScriptSequence> {
  const encoder = models.encoderFor(language);
  if (!encoder) {
    throw new InputError('ERR_INPUT_LANGUAGE', {
      field: 'script',
      expected: "a language that the bundle's encoders read",
      got: language,
    });
  }
  const [embedding] = await encoder.encode([prose], { signal, fields: ['script'] });
  const { spans } = embedding!;
  let scene = -1;
  return {
    ...embedding!,
    encoder: encoder.spec.name,
    positions: Float64Array.from(spans, ({ start, end }) => (start + end) / 2 / prose.length),
    scenes: Int32Array.from(spans, ({ start }) => {
      while (scene + 1 < scenes.length && scenes[scene + 1]!.start <= start) scene++;
      return scene;
    }),
  };
}
