/** How the command ends. The numbers are part of the interface (README, section Command line). */
export const EXIT = {
  ok: 0,
  /** Some films came through, some did not. */
  someFailed: 1,
  /** The command was called wrongly. */
  usage: 2,
  /** Nothing came through: every film failed, or the environment (addon, bundle, a missing file) did not let us start. */
  nothingWorked: 3,
  /** Ctrl-C. */
  interrupted: 130,
} as const;

/** The caller asked for something that makes no sense: exit code 2 and a short message. */
export class UsageError extends Error {}
