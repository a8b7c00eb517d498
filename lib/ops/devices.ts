/** The GPUs that operators can run on: what they are, the memory taken there, and the way back after a failure. */
import { BackendError } from '../errors.js';
import { type DeviceBackend, type DeviceLibrary, openLibrary } from './backends.js';
import { type ExecOptions, execute } from './exec.js';

export interface DeviceStatus {
  /** What `device` of the operators' options takes. CUDA_VISIBLE_DEVICES decides which GPU is 0. */
  ordinal: number;
  name: string;
  /** Whether an empty kernel ran on it; else `reason` says why not. */
  usable: boolean;
  reason: string;
  /** '9.0' */
  computeCapability: string;
  multiprocessors: number;
  memoryBytes: number;
  l2Bytes: number;
  /** As CUDA numbers them: 13000 is 13.0. */
  driver: number;
  runtime: number;
}

/**
 * The devices of a backend, each proven by a kernel that ran on it.
 * @throws BackendError ERR_BACKEND  no library, no driver, no device
 */
export async function listDevices(backend: DeviceBackend = 'cuda'): Promise<DeviceStatus[]> {
  return execute({ backend }, (addon, exec, cancel) => addon.devices(exec, cancel));
}

export interface CudaState {
  /** The library with the kernels, where there is one. */
  library?: DeviceLibrary;
  devices: DeviceStatus[];
  /** Why no device can be used; absent when one can. */
  whyNot?: string;
}

/** What there is of CUDA, without an error for what there is not. Takes up to a second the first time. */
export async function findCuda(backend: DeviceBackend = 'cuda'): Promise<CudaState> {
  const state: CudaState = { devices: [] };
  try {
    state.library = openLibrary(backend);
    state.devices = await listDevices(backend);
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    return { ...state, whyNot: error.message };
  }
  if (state.devices.some(({ usable }) => usable)) return state;
  const reasons = state.devices.map(({ ordinal, name, reason }) => `${ordinal} (${name}): ${reason}`);
  return { ...state, whyNot: `no device can be used: ${reasons.join('; ')}` };
}

/** Bytes of device memory that operators hold: under way, kept for the next call, the most so far, the cap (0: none). */
export interface DeviceMemory {
  inUse: number;
  cached: number;
  peak: number;
  cap: number;
}

type DeviceOptions = Pick<ExecOptions, 'backend' | 'device'>;

/** @throws BackendError ERR_BACKEND */
export async function deviceMemory(options: DeviceOptions = { backend: 'cuda' }): Promise<DeviceMemory> {
  return execute(options, (addon, exec, cancel) => addon.deviceMemory(exec, cancel));
}

/** Gives memory that no call uses back to the driver. @throws BackendError ERR_BACKEND, ERR_DEVICE_LOST */
export async function trimDevice(options: DeviceOptions = { backend: 'cuda' }): Promise<void> {
  await execute(options, (addon, exec, cancel) => addon.trimDevice(exec, cancel));
}

/**
 * The way back after ERR_DEVICE_LOST: destroys what this process has on the device, other libraries' state included,
 * and lets the next call start anew. Prepared operators stay usable; their weights go up again.
 * @throws BackendError ERR_BACKEND  the device is not lost
 */
export async function resetDevice(options: DeviceOptions = { backend: 'cuda' }): Promise<void> {
  await execute(options, (addon, exec, cancel) => addon.resetDevice(exec, cancel));
}
