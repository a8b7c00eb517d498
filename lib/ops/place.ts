/** Which device the operators of a Predictor run on: decided once, from what was found. */
import type { ParsedDevice } from '../device.js';
import { BackendError, describeValue, InputError } from '../errors.js';
import type { Backend, DeviceBackend } from './backends.js';
import { type CudaState, type DeviceStatus, findCuda } from './devices.js';
import { type ExecOptions, PRECISIONS, type Precision } from './exec.js';

export interface Place {
  backend: Backend;
  precision: Precision;
  /** The GPU, unless `backend` is 'cpu'. */
  device?: Pick<DeviceStatus, 'ordinal' | 'name' | 'computeCapability'>;
  /** Why 'auto' did not take CUDA. */
  whyNotCuda?: string;
}

/** The backend that stands for CUDA; tests let the emulated one do so: CINEFUSE_DEVICE_BACKEND=emulated. */
function deviceBackend(): DeviceBackend {
  return process.env.CINEFUSE_DEVICE_BACKEND === 'emulated' ? 'emulated' : 'cuda';
}

/**
 * @throws BackendError ERR_BACKEND    a GPU asked for and not to be had, with the reason
 * @throws InputError ERR_INPUT_VALUE  no such precision
 */
export async function findPlace(
  { kind, ordinal }: ParsedDevice,
  precision: Precision = 'fp32',
): Promise<Place> {
  if (!PRECISIONS.includes(precision)) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'precision',
      expected: `one of ${PRECISIONS.join(', ')}`,
      got: describeValue(precision),
    });
  }
  if (kind === 'cpu') return { backend: 'cpu', precision };
  const backend = deviceBackend();
  const found = await findCuda(backend);
  const device = found.devices.find(
    (status) => status.usable && (ordinal === undefined || status.ordinal === ordinal),
  );
  if (device) {
    const { name, computeCapability } = device;
    return { backend, precision, device: { ordinal: device.ordinal, name, computeCapability } };
  }
  const whyNotCuda = reason(found, ordinal);
  if (kind === 'auto') return { backend: 'cpu', precision, whyNotCuda };
  throw new BackendError('ERR_BACKEND', {
    field: 'device',
    message: `CUDA was asked for and cannot be had: ${whyNotCuda}`,
  });
}

function reason({ devices, whyNot }: CudaState, ordinal: number | undefined): string {
  const asked = devices.find((status) => status.ordinal === ordinal);
  if (asked) return asked.reason;
  if (ordinal === undefined || devices.length === 0) return whyNot ?? 'no device';
  const there = devices.map((status) => `${status.ordinal} (${status.name})`);
  return `there is no device ${ordinal}, only ${there.join(', ')}`;
}

/** The options that send an operator there. */
export function execAt({ backend, precision, device }: Place): ExecOptions {
  return backend === 'cpu' ? {} : { backend, precision, device: device?.ordinal ?? 0 };
}
