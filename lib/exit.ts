const callbacks = new Set<() => void>();

function runAll(): void {
  for (const callback of callbacks) {
    try {
      callback();
    } catch {
      // An exit goes on: there is nobody left to tell.
    }
  }
}

/**
 * Has `callback` run, synchronously, should the process exit before the returned function is called. One listener for
 * all callers, and none while nothing is under way.
 */
export function atExit(callback: () => void): () => void {
  if (callbacks.size === 0) process.on('exit', runAll);
  callbacks.add(callback);
  return () => {
    callbacks.delete(callback);
    if (callbacks.size === 0) process.off('exit', runAll);
  };
}
