/** What crosses into the native addon with every call. */

/** Int32Array [backend, isa, threads, sync, device, precision], made by lib/ops/exec.ts. */
export type NativeExec = Int32Array;
/** Int32Array(1) that native code polls; 1 cancels. */
export type NativeCancel = Int32Array | undefined;
/** A native object owned by JS; freed by `releaseHandle` or the garbage collector. */
export type NativeHandle = { readonly __brand: 'cinefuse-handle' };

/** With `exec[3]` (sync) set, the value itself; else a promise of it. */
export type NativeResult<T> = T | Promise<T>;
