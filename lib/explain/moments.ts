/** What each stretch of the trailer and the music did to the forecast: the network is given the others only. */
import type { Embedding } from '../encoders/embedding.js';
import type { Moment } from '../feedback.js';
import type { InputName } from '../fusion/manifest.js';
import type { MomentEffect } from './types.js';
import type { Variants } from './variants.js';

const TIMED: readonly InputName[] = ['trailer.video', 'trailer.audio', 'audio'];

/** Measures every stretch that has a vector of its own, by input and in order of time. */
export async function explainMoments(
  variants: Variants,
  attended: readonly Moment[],
): Promise<MomentEffect[]> {
  const moments: MomentEffect[] = [];
  for (const input of TIMED) {
    const jobs = variants.jobsOf(input).filter(({ key }) => variants.embeddings.has(key));
    for (const { key } of jobs) {
      const embedding = variants.embeddings.get(key)!;
      const { startMs, endMs, length } = embedding;
      if (!startMs || !endMs || length < 2) continue;
      const effects = await variants.effects(
        Array.from({ length }, (_, i) => new Map([[key, withoutStep(embedding, i)]])),
      );
      const weights = attended.filter((moment) => moment.input === input);
      effects.forEach((own, i) => {
        if (!own) return;
        // Several modalities may read one input: then the attention is not any single one's.
        const weight = jobs.length === 1 ? weights[i]?.weight : undefined;
        moments.push({ input, startMs: startMs[i]!, endMs: endMs[i]!, weight, effects: own });
      });
    }
  }
  return moments;
}

function withoutStep({ data, length, dim }: Embedding, step: number): Embedding {
  const left = new Float32Array((length - 1) * dim);
  left.set(data.subarray(0, step * dim));
  left.set(data.subarray((step + 1) * dim), step * dim);
  return { data: left, length: length - 1, dim };
}
