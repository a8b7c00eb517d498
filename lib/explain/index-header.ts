/** The films of a stored index: JSON in a file that may come from anywhere. */
import { z } from 'zod';
import { INPUT_NAMES } from '../fusion/manifest.js';

const text = z.string().max(1000);
const number = z.number().refine(Number.isFinite);
const headerSchema = z.strictObject({
  format: z.literal('cinefuse-film-index'),
  version: z.literal(1),
  model: z.strictObject({ name: text, version: text }),
  films: z
    .array(
      z.strictObject({
        id: text.optional(),
        title: text.optional(),
        year: z.int().optional(),
        budget: number.optional(),
        language: text.optional(),
        genres: z.array(text).max(1000),
        cast: z.array(text).max(1000),
        directors: z.array(text).max(1000),
        inputs: z.array(z.enum(INPUT_NAMES)).max(32),
        outcomes: z.strictObject({ rating: number.optional(), boxOffice: number.optional() }),
      }),
    )
    .min(1)
    .max(1_000_000),
});

/** @throws Error  bytes that are no header */
export function parseHeader(bytes: unknown) {
  if (!(bytes instanceof Uint8Array)) throw new RangeError('no list of films');
  const parsed = headerSchema.safeParse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new RangeError(`${issue.path.join('.')}: ${issue.message}`);
  }
  const { model, films } = parsed.data;
  return {
    model,
    films: films.map(({ inputs: _, outcomes: __, ...film }) => film),
    inputs: films.map(({ inputs }) => inputs),
    outcomes: films.map(({ outcomes }) => outcomes),
  };
}
