/** Learning rates by step. */
import type { Schedule, TrainingConfig } from './config-schema.js';

/** Half a cosine from 1 at 0 to 0 at 1. */
const fall = (share: number) => (1 + Math.cos(Math.PI * share)) / 2;

/**
 * The factor on the highest learning rate at one step of a run.
 *
 *   constant 1   linear 1 → end   cosine 1 → end by half a cosine   step factor^⌊epoch / every⌋
 *   one-cycle    start → 1 → end, each by half a cosine (Smith and Topin 2018; as PyTorch's OneCycleLR)
 *
 * All but one-cycle first rise from 0 in the `warmup` share of the steps, in equal parts.
 *
 * @param step   from 0
 * @param total  steps of the whole run
 */
export function rateFactor(schedule: Schedule, step: number, total: number, stepsPerEpoch: number): number {
  if (schedule.kind === 'one-cycle') {
    const top = Math.max(schedule.rise * total - 1, 0);
    if (step <= top && top > 0) return schedule.start + (1 - schedule.start) * (1 - fall(step / top));
    const rest = Math.max(total - 1 - top, 1);
    return schedule.end + (1 - schedule.end) * fall(Math.min(1, (step - top) / rest));
  }
  const warm = Math.round(schedule.warmup * total);
  if (step < warm) return (step + 1) / (warm + 1);
  const share = (step - warm) / Math.max(1, total - warm);
  switch (schedule.kind) {
    case 'constant':
      return 1;
    case 'linear':
      return 1 - (1 - schedule.end) * share;
    case 'cosine':
      return schedule.end + (1 - schedule.end) * fall(share);
    case 'step':
      return schedule.factor ** Math.floor(Math.floor(step / stepsPerEpoch) / schedule.every);
  }
}

/** The rates of `count` steps from step `from`. */
export function learningRates(
  { schedule, optimizer, epochs }: TrainingConfig,
  stepsPerEpoch: number,
  from: number,
  count: number,
): Float32Array {
  const total = epochs * stepsPerEpoch;
  return Float32Array.from(
    { length: count },
    (_, i) => optimizer.learningRate * rateFactor(schedule, from + i, total, stepsPerEpoch),
  );
}
