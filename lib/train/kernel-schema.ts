/** The section `network.fusion` of fuse.json for the kind 'kernel'; KernelFitConfig says what each field means. */
import { z } from 'zod';
import type { KernelChoice } from './kernel-config.js';

const positive = z.number().positive();
const weight = z.number().nonnegative().optional();

const choice = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('linear'), weight }),
  z.strictObject({
    kind: z.literal('rbf'),
    gamma: positive.optional(),
    gammaScale: positive.optional(),
    weight,
  }),
  z.strictObject({
    kind: z.literal('polynomial'),
    degree: z.int().min(1).max(16).optional(),
    gamma: positive.optional(),
    gammaScale: positive.optional(),
    constant: z.number().nonnegative().optional(),
    weight,
  }),
]) satisfies z.ZodType<KernelChoice>;

export const kernelSection = z.strictObject({
  kind: z.literal('kernel').describe('Kernel ridge and kernel logistic regression, solved in closed form.'),
  combine: z.enum(['sum', 'product']).optional().describe('Of the kernels of the modalities.'),
  constant: z.number().nonnegative().optional().describe('Added to each factor of a product. Default 1.'),
  kernels: z.record(z.string(), choice).optional().describe('By modality. Default: rbf.'),
  weights: z.enum(['equal', 'alignment']).optional().describe('Of kernels that give none.'),
  landmarks: z
    .int()
    .min(1)
    .max(32_768)
    .optional()
    .describe('Most films in training to compare with. Default 2000.'),
  lambdas: z.array(positive).min(1).max(64).optional().describe('Regularisations to choose from.'),
  choose: z.enum(['valid', 'leave-one-out']).optional().describe('What chooses the regularisation.'),
  intercept: z.boolean().optional(),
  jitter: z.number().nonnegative().optional(),
});
export type KernelSection = z.infer<typeof kernelSection>;
