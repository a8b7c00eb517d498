/**
 * A program: calls of the operators that between them launch every kernel, small ones, on the emulated backend.
 * kernels.test.ts runs it under CINEFUSE_EMULATED_TRACE. Where that test names a kernel that was not launched, a call
 * is missing here.
 */
import { ACTIVATIONS } from '../../lib/ops/activation.js';
import { activation, layerNorm, logSoftmax, softmax } from '../../lib/ops/index.js';
import { randomF32 } from '../backends.js';

const exec = { backend: 'emulated' } as const;

async function activations() {
  const x = randomF32(211, 1).map((v) => 3 * v);
  for (const kind of ACTIVATIONS) await activation(kind, x, exec);
  for (const cols of [37, 700]) {
    await softmax(randomF32(3 * cols, 2), { ...exec, cols });
    await logSoftmax(randomF32(3 * cols, 3), { ...exec, cols });
  }
}

async function layerNorms() {
  for (const cols of [5, 128, 300]) {
    const [gain, bias] = [randomF32(cols, 1), randomF32(cols, 2)];
    await layerNorm(randomF32(3 * cols, 3), { ...exec, cols, gain, bias });
  }
}

await activations();
await layerNorms();
