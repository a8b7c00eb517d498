/** What is drawn anew every epoch: the order of the films, what each may show, and in which of its forms. */
import { randomOf, seedOf } from './random.js';

export interface DrawPlan {
  /** Films in training. */
  rows: Int32Array;
  /** (films, modalities), 0 = absent. */
  present: Uint8Array;
  /** By modality: the chance that it is hidden. */
  modalityDropout: readonly number[];
  /** By modality: the number of the input that it is made of; modalities of one input come and go together. */
  inputOf: readonly number[];
  /** Share of the films of which each input shows by a coin's throw. */
  fewInputs: number;
  /** Forms of each film, the most of any modality. */
  variants: number;
}

export interface EpochDraw {
  /** The films in this epoch's order. */
  rows: Int32Array;
  /** As in the plan, less what is hidden. A film never loses all. */
  present: Uint8Array;
  variants: Uint8Array | undefined;
}

/** An epoch's draw depends on the seed and the epoch alone, so that a run can go on from any epoch. */
export function drawEpoch(plan: DrawPlan, seed: number, epoch: number): EpochDraw {
  const rows = randomOf(seedOf(seed, 'order', epoch)).shuffle(plan.rows.slice());
  return { rows, present: drawPresence(plan, seed, epoch), variants: drawVariants(plan, seed, epoch) };
}

function drawPresence(plan: DrawPlan, seed: number, epoch: number): Uint8Array {
  const { rows, present, modalityDropout, inputOf, fewInputs } = plan;
  const count = modalityDropout.length;
  if (count === 1 || (fewInputs === 0 && modalityDropout.every((chance) => chance === 0))) return present;
  const random = randomOf(seedOf(seed, 'presence', epoch));
  const shown = present.slice();
  const coins = new Uint8Array(Math.max(...inputOf) + 1);
  for (const row of rows) {
    const few = random.next() < fewInputs;
    for (let input = 0; few && input < coins.length; input++) coins[input] = random.next() < 0.5 ? 1 : 0;
    let any = 0;
    for (let m = 0; m < count; m++) {
      const stays = few ? coins[inputOf[m]!]! : random.next() >= modalityDropout[m]! ? 1 : 0;
      any |= shown[row * count + m]! &= stays;
    }
    if (!any) shown.set(present.subarray(row * count, (row + 1) * count), row * count);
  }
  return shown;
}

function drawVariants({ rows, present, modalityDropout, variants }: DrawPlan, seed: number, epoch: number) {
  if (variants === 1) return undefined;
  const random = randomOf(seedOf(seed, 'variants', epoch));
  const drawn = new Uint8Array(present.length / modalityDropout.length);
  for (const row of rows) drawn[row] = random.below(variants);
  return drawn;
}
