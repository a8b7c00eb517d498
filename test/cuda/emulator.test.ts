/** What the emulator claims to find, shown by a kernel for each fault (faults.cc) and the same kernel without it. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { packageRoot } from '../../lib/native.js';
import { buildProgram, runProgram, VARIANTS, type Variant } from './programs.js';

// What the faulty kernel's output must match; @ stands for the fault's file and line. A form that is not named is not
// claimed to find it.
type Reports = Partial<Record<Variant, string>>;
const everywhere = (text: string): Reports => ({ plain: text, address: text, race: text });
const sharedBounds = (text: string) =>
  `out of bounds: ${text} of 4 bytes at byte \\d+ of the shared array .*; at @`;
const race = (text = '', array = 'the shared array') => ({
  race: `race: .* bytes at byte \\d+ of ${array} .*${text}.*; at .*@`,
});
const inDeviceMemory = 'a block of device memory';
const poisoned = '[Ss]anitizer: use-after-poison[^]*#0 .*@';
const overflow = '[Ss]anitizer: heap-buffer-overflow[^]*#0 .*@';
const wrong = 'wrong result: -?nan';
const unwritten = 'uninitialised: read of 4 bytes at byte \\d+ of the shared array .*; at @';
const configuration = everywhere('cudaErrorInvalidConfiguration');

const faults: Record<string, Reports> = {
  barrier_at_two_lines: everywhere('barrier divergence: .*__syncthreads at @'),
  barrier_after_return: everywhere(
    'barrier divergence: 60 threads wait in __syncthreads at @ while 4 .* returned',
  ),
  shuffle_without_some_lanes: everywhere(
    'deadlock: .* at @ waits for lane 8 of its mask, which has returned',
  ),
  shuffle_waits_for_a_barrier: everywhere(
    'deadlock: .* at @ never gets all lanes .*; 33 threads wait in __sync',
  ),
  shuffle_from_outside_the_mask: everywhere('shuffle at @: lane 0 reads lane 16, which is not in the mask'),
  lane_not_in_its_mask: everywhere('at @: the calling lane 16 is not in its mask'),
  collectives_mixed: everywhere('warp divergence: this thread comes to .* at @'),

  static_shared_out_of_bounds: {
    plain: 'out of bounds: something was written 0 bytes past the end of the shared array s',
    address: '@:\\d+: runtime error: index 64 out of bounds',
    race: sharedBounds('write'),
  },
  static_shared_read_out_of_bounds: { address: poisoned, race: sharedBounds('read') },
  dynamic_shared_out_of_bounds: {
    plain: 'out of bounds: something was written 8 bytes past the end',
    address: poisoned,
    race: sharedBounds('write'),
  },
  global_out_of_bounds: {
    address: overflow,
    race: 'out of bounds: write of 4 bytes at byte 256 of a block of device memory \\(256 bytes\\); at @',
  },
  global_read_out_of_bounds: {
    address: overflow,
    race: 'out of bounds: read of 4 bytes at byte 264 of a block of device memory \\(256 bytes\\); at @',
  },
  local_out_of_bounds: { address: '[Ss]anitizer: stack-buffer-overflow[^]*#0 .*@' },
  misaligned_load4: everywhere('misaligned access: 16 bytes at @'),
  misaligned_store4: everywhere('misaligned access: 16 bytes at @'),
  misaligned_plain_load: { address: '@:\\d+: runtime error: .* misaligned address' },

  uninitialised_float: { plain: wrong, address: wrong, race: unwritten },
  uninitialised_int: { race: unwritten },
  uninitialised_in_the_second_block: { race: unwritten },

  missing_barrier: race(),
  write_after_read: race(),
  shuffle_taken_for_a_barrier: race(),
  syncwarp_of_too_few: race(),
  syncwarp_between_warps: race(),
  read_beside_atomics: race(),
  bytes_of_one_word: race(),
  copy_read_before_wait: { plain: wrong, ...race('cp_async of thread \\d+ that was not waited for') },
  copy_of_a_later_group: { plain: wrong, ...race('cp_async of thread \\d+ that was not waited for') },
  copy_without_barrier: race(),
  copy_over_what_is_read: race(),
  copy_without_zeros: { plain: wrong, race: unwritten },

  host_memory: { race: 'out of bounds: read of 4 bytes at 0x[0-9a-f]+, which is no device memory; at @' },
  global_without_barrier: race('with no barrier since', inDeviceMemory),
  two_blocks_write_one_place: race('a write by block \\(0, 0, 0\\)', inDeviceMemory),
  block_reads_what_another_writes: race('a write by block \\(0, 0, 0\\)', inDeviceMemory),
  sum_without_fence: race('a write by block \\(0, 0, 0\\)', inDeviceMemory),

  block_too_large: configuration,
  block_too_deep: configuration,
  grid_too_tall: configuration,
  grid_empty: configuration,
  shared_not_asked_for: everywhere('cudaErrorInvalidValue: more than 48 KiB of dynamic shared memory'),
  shared_not_asked_for_in_sum: everywhere(
    '20000 bytes of static and 40000 of dynamic shared memory: more than 48',
  ),
  shared_asked_for_too_much: everywhere('cudaErrorInvalidValue: more shared memory than a block can have'),
  much_static_shared: everywhere('49156 bytes of static shared memory'),
};

const source = readFileSync(path.join(packageRoot(), 'test/cuda/faults.cc'), 'utf8').split('\n');

/** The fault's "file:line", as a pattern; one that the source does not mark matches nothing. */
function place(fault: string): string {
  const line = source.findIndex((text) => text.endsWith(`// FAULT: ${fault}`)) + 1;
  return line > 0 ? `test/cuda/faults\\.cc:${line}(?!\\d)` : 'no such line';
}

const programs = new Map<Variant, string | undefined>();
for (const variant of VARIANTS) programs.set(variant, await buildProgram('faults', variant));

for (const [variant, program] of programs) {
  const declare = program === undefined ? test.skip : test;
  const missing = program === undefined ? ': the compiler has no runtime for it' : '';

  declare(`every kernel without its fault passes, in any order of threads [${variant}]${missing}`, (t) => {
    for (const order of ['forward', 'reverse', 'random:1', 'random:2']) {
      const { status, stdout, stderr } = runProgram(program!, ['all', 'right'], {
        env: { CINEFUSE_EMULATED_ORDER: order },
      });
      const lines = stdout.toString().trim().split('\n');
      t.is(status, 0, stderr);
      t.deepEqual(
        lines,
        Object.keys(faults).map((name) => `${name}: passed`),
        order,
      );
    }
  });

  const claimed = Object.entries(faults).filter(([, reports]) => reports[variant]);
  declare(
    `${claimed.length} planted faults are reported as what they are, where they are [${variant}]${missing}`,
    (t) => {
      for (const [fault, reports] of claimed) {
        const { stdout, stderr } = runProgram(program!, [fault], {
          env: { CINEFUSE_EMULATED_ORDER: 'forward' },
        });
        t.regex(`${stdout}${stderr}`, new RegExp(reports[variant]!.replace('@', place(fault))), fault);
      }
    },
  );
}

test('every fault is claimed by some form', (t) => {
  for (const [fault, reports] of Object.entries(faults)) t.true(Object.keys(reports).length > 0, fault);
});
