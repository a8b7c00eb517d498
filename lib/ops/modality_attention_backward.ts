import { type ExecOptions, execute } from './exec.js';
import { checkForm, type ModalityAttentionInput, type ModalityAttentionLayer } from './modality_attention.js';
import { rowsOf } from './prepared.js';

export interface ModalityAttentionGradients {
  /** (batch, modalities, features) */
  dh: Float32Array;
  /** As W, b and w of the layer; dw is empty for the form 'feature'. */
  dW: Float32Array;
  db: Float32Array;
  dw: Float32Array;
}

/**
 * Gradients of attention over modalities (ModalityAttention), forward and backward in one call:
 *
 *   form 'feature'   de_i = α_i ⊙ dc ⊙ (h_i - c),         dh_i = α_i ⊙ dc + Wᵀ de_i
 *   form 'tanh'      de_i = α_i dc·(h_i - c),  dz_i = de_i w ⊙ (1 - tanh²(z_i)),  dh_i = α_i dc + Wᵀ dz_i
 *
 * @param dc  (batch, features): the gradient of the loss by c
 * @returns the loss's gradients by the input and the weights. An absent modality and a row with nothing present get
 *   exactly 0, whatever they hold; db of 'feature' is exactly 0, since b shifts all modalities alike.
 * @throws InputError ERR_INPUT_VALUE  an unknown form
 * @throws ShapeError ERR_SHAPE        arrays that do not fit each other
 *
 * Within the tolerances of the golden vectors (1e-5 of the largest value of float64), any instruction set; the same bits
 * on any number of threads.
 */
export async function modalityAttentionBackward(
  layer: ModalityAttentionLayer,
  input: ModalityAttentionInput & { dc: Float32Array },
  options?: ExecOptions,
): Promise<ModalityAttentionGradients> {
  const { form, features, W, b } = layer;
  checkForm(form);
  const w = form === 'tanh' ? layer.w : undefined;
  const { h, modalities, mask, dc } = input;
  const batch = rowsOf(h, modalities * features);
  const [dh, dW, db, dw] = await execute(options, (addon, exec, cancel) =>
    addon.modalityAttentionBackward(
      exec,
      cancel,
      form === 'tanh',
      features,
      modalities,
      batch,
      W,
      b,
      w,
      h,
      mask,
      dc,
    ),
  );
  return { dh, dW, db, dw };
}
