import { describeValue, InputError } from '../errors.js';
import { type ExecOptions, execute } from './exec.js';
import { rowsOf } from './prepared.js';

export interface ModalityAttentionInput {
  /** (batch, modalities, features), row-major. */
  h: Float32Array;
  modalities: number;
  features: number;
  /** (batch, modalities); 0 is absent. Default: all are present. */
  mask?: Uint8Array | undefined;
}

export type ModalityAttentionWeights =
  | {
      /** A weight for every feature of every modality. */
      form: 'feature';
      /** (features, features) */
      W: Float32Array;
      /** (features). Shifts all modalities alike, so it changes nothing; taken because networks have it. */
      b: Float32Array;
    }
  | {
      /** One weight a modality. */
      form: 'tanh';
      /** (k, features) */
      W: Float32Array;
      /** (k) */
      b: Float32Array;
      /** (k) */
      w: Float32Array;
    };

export interface AttentionResult {
  /** The attended vectors. */
  c: Float32Array;
  /** Their weights. */
  alpha: Float32Array;
}

export interface AttentionOptions extends ExecOptions {
  /** Written instead of new arrays; of exactly the results' lengths. */
  out?: { c?: Float32Array | undefined; alpha?: Float32Array | undefined } | undefined;
}

/**
 * Attention over the modalities of each row: c = Σ_i α_i ⊙ h_i.
 *
 *   form 'feature'   e_i = W h_i + b,              α = softmax of e over i, for each feature apart
 *   form 'tanh'      e_i = w · tanh(W h_i + b),    α = softmax of e over i
 *
 * @returns c (batch, features); alpha (batch, modalities, features) or, 'tanh', (batch, modalities). Weights sum to 1
 *   over the modalities present; an absent one has exactly 0 and may hold anything, NaN too. A row with nothing
 *   present gives zeros.
 * @throws InputError ERR_INPUT_VALUE  an unknown form
 * @throws ShapeError ERR_SHAPE        arrays that do not fit each other
 *
 * Within 5e-6 of the largest value of float64 on the golden vectors, any instruction set; a row's result is the same
 * alone and in any batch. Source: Bahdanau et al. 2015 ('tanh'); 'feature' is its form without the reduction.
 */
export async function modalityAttention(
  input: ModalityAttentionInput,
  weights: ModalityAttentionWeights,
  options: AttentionOptions = {},
): Promise<AttentionResult> {
  const { h, modalities, features, mask } = input;
  const form = ['feature', 'tanh'].indexOf(weights.form);
  if (form < 0) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'form',
      expected: "'feature' or 'tanh'",
      got: describeValue((weights as { form: unknown }).form),
    });
  }
  const batch = rowsOf(h, modalities * features);
  const { W, b } = weights;
  const w = weights.form === 'tanh' ? weights.w : undefined;
  const { out } = options;
  const [c, alpha] = await execute(options, (addon, exec, cancel) =>
    addon.modalityAttention(
      exec,
      cancel,
      form,
      batch,
      modalities,
      features,
      h,
      mask,
      W,
      b,
      w,
      out?.c,
      out?.alpha,
    ),
  );
  return { c, alpha };
}
