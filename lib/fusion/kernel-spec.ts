/** The fusion kind 'kernel': its part of a network's description. */
import { z } from 'zod';
import type { Kernel } from '../ops/kernel_matrix.js';

const positive = z.number().positive();
const least0 = z.number().nonnegative();

/** As `Kernel` of cinefuse/ops, with nothing left to defaults. */
const kernel = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('linear'), weight: least0 }),
  z.strictObject({ kind: z.literal('rbf'), gamma: positive, weight: least0 }),
  z.strictObject({
    kind: z.literal('polynomial'),
    gamma: positive,
    constant: least0,
    degree: z.int().min(1).max(16),
    weight: least0,
  }),
]) satisfies z.ZodType<Kernel>;

/**
 * How alike a film is to each of some films in training, the landmarks z_j, is what the heads see: kernel ridge and kernel
 * logistic regression, whole or by the Nyström method. With the standardised vector x_m of each modality, p_m whether the film
 * has it and q_jm whether landmark j does:
 *
 *   sum       F_j = Σ_m weight_m p_m q_jm k_m(x_m, z_jm)
 *   product   F_j = Π_m (constant + weight_m p_m q_jm k_m(x_m, z_jm))
 *   heads     y = heads.NAME.weight F + heads.NAME.bias
 *
 * An absent modality is a feature map of zeros: what it would add to a sum is nothing, and of its interactions in a product the
 * constant alone remains, as in tensor fusion. So a film that is like no landmark gets the bias.
 *
 * `projection` of every modality is its kernel's row: out = the number of landmarks, activation 'none', no layer norm.
 */
export const kernelFusion = z.strictObject({
  kind: z.literal('kernel'),
  combine: z.enum(['sum', 'product']),
  /** Of 'product'; with 'sum' it says nothing. */
  constant: least0.default(1),
  /** One a modality, by name. */
  kernels: z.record(z.string(), kernel),
});
export type KernelFusion = z.infer<typeof kernelFusion>;

/** What a 'kernel' network must hold beside its schema: calls `fail` with the first field that does not. */
export function checkKernelFusion(
  fusion: KernelFusion,
  modalities: readonly {
    name: string;
    projection: { out: number; activation: string; layerNorm: boolean };
  }[],
  trunk: readonly unknown[],
  fail: (field: string, expected: string, got: string) => never,
): void {
  const landmarks = modalities[0]!.projection.out;
  for (const [i, { name, projection }] of modalities.entries()) {
    const field = `modalities.${i}.projection`;
    if (projection.out !== landmarks) {
      fail(
        `${field}.out`,
        `${landmarks}, the number of landmarks, as in ${modalities[0]!.name}`,
        `${projection.out}`,
      );
    }
    if (projection.activation !== 'none' || projection.layerNorm) {
      fail(field, "activation 'none' and no layer norm with 'kernel'", JSON.stringify(projection));
    }
    if (!Object.hasOwn(fusion.kernels, name)) fail(`fusion.kernels.${name}`, `a kernel of ${name}`, 'none');
  }
  for (const name of Object.keys(fusion.kernels)) {
    if (!modalities.some((modality) => modality.name === name)) {
      fail(`fusion.kernels.${name}`, 'a modality of the network', 'an unknown one');
    }
  }
  if (trunk.length > 0) fail('trunk', "no layers with 'kernel'", `${trunk.length}`);
}
