import { describeValue, InputError } from './errors.js';

/**
 * Where to compute. 'cuda' is the first GPU that works, 'cuda:1' the one that CUDA_VISIBLE_DEVICES makes number 1, and
 * either is an error where it cannot be had; 'auto' takes the first GPU that works and the CPU without one.
 */
export type Device = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`;

export interface ParsedDevice {
  kind: 'auto' | 'cpu' | 'cuda';
  /** Which GPU; undefined: the first that works. */
  ordinal?: number;
}

/** @throws InputError ERR_INPUT_VALUE */
export function parseDevice(device: Device, field = 'device'): ParsedDevice {
  if (device === 'auto' || device === 'cpu' || device === 'cuda') return { kind: device };
  const ordinal = typeof device === 'string' && /^cuda:(\d|[1-5]\d|6[0-3])$/.test(device);
  if (ordinal) return { kind: 'cuda', ordinal: Number(device.slice('cuda:'.length)) };
  throw new InputError('ERR_INPUT_VALUE', {
    field,
    expected: "'auto', 'cpu', 'cuda' or 'cuda:0' to 'cuda:63'",
    got: describeValue(device),
  });
}
