/** The interpreter's memory, barriers and warps, on kernels written by hand. */
import test from 'ava';
import { random } from '../backends.js';
import { bitsOf, launch, longs, program, type Shape, TID, words } from './by-hand.js';
import { KernelError } from './run.js';

test('accesses outside of memory or misaligned end the launch, with their line', (t) => {
  const memory = () => [new Uint32Array(8), new Uint32Array(8)];
  const fails = (body: string, message: RegExp, shape: Shape = {}, head = '') =>
    t.throws(() => launch(`${TID} ${body}`, memory(), shape, head), { instanceOf: KernelError, message });
  t.notThrows(() => launch(`${TID} ld.global.u32 %r1, [%l5+28];`, memory()));
  fails(
    'ld.global.u32 %r1, [%l5+32];',
    /k: 4 bytes at 0x7f0000000020 are in no live block.*32 from its start.*PTX line 9/,
  );
  fails('ld.global.u32 %r1, [%l5+-4];', /in no live block/);
  fails('st.global.v4.u32 [%l5+20], {%r1, %r1, %r1, %r1};', /16 bytes .* in no live block/);
  fails('ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%l5+4];', /misaligned address 0x7f0000000004/);
  fails('ld.u16 %h1, [%l5+1];', /misaligned/);
  // A site that has been right before is checked again.
  fails('ld.global.u32 %r1, [%l5];', /in no live block.*thread \(8,0,0\) of block \(0,0,0\)/, {
    block: [9, 1, 1],
  });
  const shared = '.shared .align 16 .b8 s[64];';
  fails('mov.u32 %r1, s; st.shared.u32 [%r1+64], %r1;', /4 bytes at offset 64 are outside/, {}, shared);
  fails('mov.u32 %r1, s; ld.shared.v2.u32 {%r2, %r3}, [%r1+4];', /misaligned offset 4/, {}, shared);
  fails('cvta.shared.u64 %l11, 64; ld.u32 %r1, [%l11];', /in no live block/, {}, shared);
  fails('.local .align 4 .b8 depot[8]; mov.u64 %l11, depot; st.local.u32 [%l11+8], %r1;', /outside/);
  fails('mov.u32 %r1, 0; div.u32 %r2, 1, %r1;', /division by zero/);
});

test('barriers that threads do not all reach are found', (t) => {
  const diverges = (body: string, message: RegExp, threads = 64) =>
    t.throws(
      () =>
        launch(`${TID} setp.eq.u32 %p1, %r0, 3; ${body}`, [new Uint32Array(64), new Uint32Array(64)], {
          block: [threads, 1, 1],
        }),
      { instanceOf: KernelError, message },
    );
  diverges(
    '@%p1 bra A; bar.sync 0; bra B;\nA: bar.sync 0;\nB:',
    /divergence: thread 0 is at this barrier, thread 3 at line 10/,
  );
  diverges('@%p1 bra A; bar.sync 0;\nA:', /waits for ever, 1 threads have ended/);
  diverges('@%p1 bra A; shfl.sync.idx.b32 %r1, %r0, 0, 31, -1;\nA:', /lane 3 of the mask has ended/);
  diverges('@%p1 bra A; bar.warp.sync -1; bra B;\nA: bar.sync 0;\nB:', /waits for ever, thread 3/);
  diverges('@%p1 bra A; bar.warp.sync 7; bra B;\nA: bar.warp.sync 8;\nB:', /not in its own mask/);
});

test('shared memory: unwritten it is all ones, a barrier orders it, dynamic memory lies behind', (t) => {
  const head = '.shared .align 16 .b8 s[256];\n.extern .shared .align 16 .b8 d[];';
  const body = `${TID} shl.b32 %r1, %r0, 2; mov.u32 %r2, s; add.u32 %r3, %r1, %r2; mov.u32 %r7, d; add.u32 %r8, %r7, %r1;
    ld.shared.u32 %r4, [%r3]; st.global.u32 [%l5], %r4;
    st.shared.u32 [%r3], %r0; st.shared.u32 [%r8], %r1; bar.sync 0;
    xor.b32 %r5, %r3, 252; ld.shared.u32 %r6, [%r5]; xor.b32 %r9, %r8, 252; ld.shared.u32 %r10, [%r9]; sub.u32 %r11, %r10, %r6; st.global.u32 [%l6], %r11;`;
  const [first, second] = launch(
    body,
    [new Uint32Array(64), new Uint32Array(64)],
    { block: [64, 1, 1], dynamicShared: 256 },
    head,
  );
  t.true(words(first!).every((w) => w === 0xffffffff));
  t.deepEqual(
    [...words(second!)],
    Array.from({ length: 64 }, (_, n) => 3 * (63 - n)),
  );
});

test('warps: shuffles, votes, matches, reductions', (t) => {
  const lanes = Array.from({ length: 32 }, (_, lane) => lane);
  const warp = (body: string) => [
    ...words(
      launch(`${TID} ${body} st.global.u32 [%l6], %r4;`, [new Uint32Array(32), new Uint32Array(32)], {
        block: [32, 1, 1],
      })[1]!,
    ),
  ];
  t.deepEqual(
    warp('shfl.sync.bfly.b32 %r4, %r0, 5, 31, -1;'),
    lanes.map((l) => l ^ 5),
  );
  t.deepEqual(
    warp('shfl.sync.down.b32 %r4|%p1, %r0, 3, 31, -1; @!%p1 mov.u32 %r4, 99;'),
    lanes.map((l) => (l < 29 ? l + 3 : 99)),
  );
  t.deepEqual(
    warp('shfl.sync.up.b32 %r4, %r0, 2, 0, -1;'),
    lanes.map((l) => (l < 2 ? l : l - 2)),
  );
  // width 8: segments, whose mask is (32 - 8) << 8
  t.deepEqual(
    warp('shfl.sync.idx.b32 %r4, %r0, 9, 6175, -1;'),
    lanes.map((l) => (l & 24) + 1),
  );
  t.deepEqual(
    warp('setp.gt.u32 %p1, %r0, 29; vote.sync.ballot.b32 %r4, %p1, -1;'),
    lanes.map(() => 0xc0000000),
  );
  t.deepEqual(
    warp('setp.gt.u32 %p1, %r0, 29; vote.sync.any.pred %p2, !%p1, -1; selp.u32 %r4, 1, 0, %p2;'),
    lanes.map(() => 1),
  );
  t.deepEqual(
    warp('and.b32 %r1, %r0, 1; match.any.sync.b32 %r4, %r1, -1;'),
    lanes.map((l) => (l & 1 ? 0xaaaaaaaa : 0x55555555)),
  );
  t.deepEqual(
    warp('redux.sync.add.u32 %r4, %r0, -1;'),
    lanes.map(() => 496),
  );
});

test('matrix products: fragments are where PTX has them', (t) => {
  const next = random(4);
  const bfloats = (...x: number[]) => ((bitsOf(x[0]!)[0]! >>> 16) | (bitsOf(x[1]!)[0]! & 0xffff0000)) >>> 0;
  const bytes = (...x: number[]) => x.reduce((word, v, n) => (word | ((v & 255) << (8 * n))) >>> 0, 0);
  for (const [k, per, type, pack, packSum] of [
    [8, 1, 'm16n8k8.row.col.f32.tf32.tf32.f32', (x: number) => bitsOf(x)[0]!, (x: number) => bitsOf(x)[0]!],
    [16, 2, 'm16n8k16.row.col.f32.bf16.bf16.f32', bfloats, (x: number) => bitsOf(x)[0]!],
    [32, 4, 'm16n8k32.row.col.s32.s8.u8.s32', bytes, (x: number) => x >>> 0],
  ] as const) {
    // Small integers are exact in every format.
    const least = per === 4 ? 0 : -8;
    const a = Array.from({ length: 16 * k }, () => Math.floor(next() * 17) - 8);
    const b = Array.from({ length: k * 8 }, () => Math.floor(next() * 17) + least);
    const c = Array.from({ length: 16 * 8 }, () => Math.floor(next() * 100) - 50);
    const word = (at: (n: number) => number) =>
      (pack as (...x: number[]) => number)(...Array.from({ length: per }, (_, n) => at(n)));
    const inputs: number[] = [];
    for (let lane = 0; lane < 32; lane++) {
      const [g, q] = [lane >> 2, lane & 3];
      for (let i = 0; i < 4; i++)
        inputs.push(word((n) => a[(g + 8 * (i & 1)) * k + per * (q + 4 * (i >> 1)) + n]!));
      for (let i = 0; i < 2; i++) inputs.push(word((n) => b[(per * (q + 4 * i) + n) * 8 + g]!));
      inputs.push(0, 0);
      for (let i = 0; i < 4; i++) inputs.push(packSum(c[(g + 8 * (i >> 1)) * 8 + 2 * q + (i & 1)]!));
      inputs.push(0, 0, 0, 0);
    }
    const [d, store] = per === 4 ? ['{%r11, %r12, %r13, %r14}', 'u32'] : ['{%f1, %f2, %f3, %f4}', 'f32'];
    const body = `${TID} mul.lo.u32 %r1, %r0, 64; cvt.u64.u32 %l11, %r1; add.s64 %l12, %l0, %l11;
      ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%l12]; ld.global.v2.u32 {%r5, %r6}, [%l12+16]; ld.global.v4.${store} ${d}, [%l12+32];
      mma.sync.aligned.${type} ${d}, {%r1, %r2, %r3, %r4}, {%r5, %r6}, ${d};
      st.global.v4.${store} [%l10], ${d};`;
    const [, out] = launch(body, [Uint32Array.from(inputs), new Uint32Array(128)], { block: [32, 1, 1] });
    for (let row = 0; row < 16; row++) {
      for (let column = 0; column < 8; column++) {
        let sum = c[row * 8 + column]!;
        for (let i = 0; i < k; i++) sum += a[row * k + i]! * b[i * 8 + column]!;
        const lane = (row & 7) * 4 + (column >> 1);
        t.is(words(out!)[lane * 4 + 2 * (row >> 3) + (column & 1)], packSum(sum), `${type} ${row} ${column}`);
      }
    }
  }
});

test('asynchronous copies happen when they are waited for, and fill with zeros', (t) => {
  const head = '.shared .align 16 .b8 s[32];';
  const body = `${TID} mov.u32 %r1, s; mov.u32 %r9, 0;
    cp.async.cg.shared.global [%r1], [%l0], 16; cp.async.commit_group; cp.async.ca.shared.global [%r1+16], [%l0+4], 4, %r9; cp.async.commit_group;
    ld.shared.u32 %r2, [%r1]; cp.async.wait_group 1; ld.shared.u32 %r3, [%r1]; ld.shared.u32 %r4, [%r1+16]; cp.async.wait_all; ld.shared.u32 %r5, [%r1+16];
    st.global.v4.u32 [%l1], {%r2, %r3, %r4, %r5};`;
  const [, out] = launch(body, [Uint32Array.of(7, 8, 9, 10), new Uint32Array(4)], {}, head);
  t.deepEqual([...words(out!)], [0xffffffff, 7, 0xffffffff, 0]);
});

test('atomics, local memory, constants, addresses of parameters, jump tables, loops', (t) => {
  const [counts] = launch(
    `${TID} atom.global.add.u32 %r1, [%l0], 2; atom.global.max.s32 %r2, [%l0+4], %r0; red.global.or.b32 [%l0+8], 5; atom.global.cas.b32 %r3, [%l0+12], 0, 9;`,
    [new Uint32Array(4), new Uint32Array(1)],
    { block: [40, 1, 1], grid: [2, 1, 1] },
  );
  t.deepEqual([...words(counts!)], [160, 39, 5, 9]);
  const head =
    '.const .align 4 .b8 table[8] = {1, 0, 0, 0, 255, 1, 0, 0};\n.global .align 4 .u32 values[2] = {70, 80};';
  const body = `${TID} .local .align 8 .b8 depot[64]; mov.u64 %l11, depot; add.s64 %l12, %l11, %l2; st.local.u32 [%l12], %r0; cvta.local.u64 %l13, %l11; ld.u32 %r1, [%l13+4];
    ld.const.u32 %r2, [table+4]; mov.u64 %l14, values; ld.global.u32 %r3, [%l14+4]; mov.b64 %l15, p0; add.s64 %l16, %l15, 8; ld.param.u64 %l17, [%l16];
    mov.u32 %r4, 0; mov.u32 %r5, 0;
    T: .branchtargets A, B, C;
    brx.idx %r0, T;
    A: add.u32 %r4, %r4, 100;
    B: add.u32 %r4, %r4, 10; add.u32 %r5, %r5, 1; setp.lt.u32 %p1, %r5, 3; @%p1 bra B;
    C: { .reg .b32 %r<3>; mov.u32 %r1, 1000; add.u32 %r2, %r1, 0; }
    add.u32 %r4, %r4, %r1; st.global.v4.u32 [%l10], {%r1, %r2, %r3, %r4}; st.global.u64 [%l7], %l17;`;
  const [pointers, out] = launch(body, [new Uint32Array(8), new Uint32Array(16)], { block: [3, 1, 1] }, head);
  t.deepEqual([...words(out!)].slice(0, 12), [
    ...[0xffffffff, 511, 80, 129],
    ...[1, 511, 80, 31],
    ...[0xffffffff, 511, 80, 0xffffffff],
  ]);
  t.true(
    longs(pointers!)
      .subarray(0, 3)
      .every((p) => p === 0x7f0000100000n),
  );
});

test('what is not known is refused where it is loaded, with its line', (t) => {
  const refuses = (text: string, message: RegExp) => t.throws(() => program(`\n${text}`), { message });
  refuses('wgmma.fence.sync.aligned;', /PTX line 9: an unknown instruction: wgmma/);
  refuses('add.cc.u32 %r1, %r1, %r1;', /PTX line 9: .*modifier.*add\.cc/);
  refuses('add.u32 %r1, %r99, 1;', /PTX line 9/);
  refuses('bra NOWHERE;', /unknown label NOWHERE/);
  refuses('call (%r1), f, (%r2);', /unknown instruction/);
  refuses('cvt.rn.satfinite.e4m3x2.f32 %h1, %f1, %f2;', /PTX line 9/);
});
