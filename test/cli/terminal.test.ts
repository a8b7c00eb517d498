import test from 'ava';
import {
  bar,
  columnsOf,
  displayWidth,
  dollars,
  intervalBar,
  milliseconds,
  padEnd,
  printable,
  styleFor,
  truncate,
  wrap,
} from '../../lib/cli/terminal.js';

test('a text takes the columns a terminal gives it', (t) => {
  t.is(displayWidth('abc'), 3);
  t.is(displayWidth('流浪地球'), 8);
  t.is(displayWidth('e\u0301'), 1);
  t.is(displayWidth('\u001b[1mbold\u001b[22m'), 4);
  t.is(padEnd('流浪', 6), '流浪  ');
});

test('cutting leaves at most the width, wide characters whole', (t) => {
  t.is(truncate('abcdef', 6), 'abcdef');
  t.is(truncate('abcdefg', 6), 'abcde…');
  t.is(truncate('流浪地球', 7), '流浪地…');
  t.is(truncate('流浪地球', 6), '流浪…');
});

test('wrapping keeps every word and never passes the width but for a single word', (t) => {
  const text = 'Films differ more than any model can see: read the ranges, not the points.';
  const lines = wrap(text, 20);
  t.is(lines.join(' '), text);
  for (const line of lines) t.true(line.length <= 20, line);
  t.deepEqual(wrap('incomprehensibilities of it', 10), ['incomprehensibilities', 'of it']);
  t.deepEqual(wrap('it took 5\u00a0ms', 9), ['it took', '5\u00a0ms']);
  t.deepEqual(wrap('', 10), []);
});

test('a bar is as long as its share, never longer than the width', (t) => {
  t.is(bar(0, 10), '');
  t.is(bar(1, 10), '██████████');
  t.is(bar(0.5, 10), '█████');
  t.is(bar(0.55, 10), '█████▌');
  t.is(bar(7, 10), '██████████');
  t.is(bar(-1, 10), '');
});

test('an interval is drawn where it is, ends kept inside the scale', (t) => {
  t.is(intervalBar(0, 0.5, 1, 11), '├━━━━●━━━━┤');
  t.is(intervalBar(0.2, 0.5, 0.8, 11), '──├━━●━━┤──');
  t.is(intervalBar(-3, 0.5, 9, 11), '├━━━━●━━━━┤');
  t.is(intervalBar(0.5, 0.5, 0.5, 11), '─────●─────');
});

test('money has two significant digits', (t) => {
  t.is(dollars(24_300_000), '$24 million');
  t.is(dollars(1_250_000), '$1.3 million');
  t.is(dollars(2_000_000), '$2 million');
  t.is(dollars(999_600_000), '$1 billion');
  t.is(dollars(1_840_000_000), '$1.8 billion');
  t.is(dollars(184_000), '$180,000');
  t.is(dollars(999), '$1,000');
  t.is(dollars(12), '$12');
  t.is(dollars(0), '$0');
  t.is(dollars(Number.NaN), 'unknown');
});

test('durations have the unit that suits them', (t) => {
  t.is(milliseconds(0.42), '0.4\u00a0ms');
  t.is(milliseconds(45.6), '46\u00a0ms');
  t.is(milliseconds(1234), '1.23\u00a0s');
  t.is(milliseconds(61_234), '61.2\u00a0s');
});

test('no control character of a file reaches the terminal', (t) => {
  t.is(printable('a\u001b[31mred\u0007\nline\u009b2J'), 'a [31mred line 2J');
  t.is(printable('流浪地球'), '流浪地球');
});

test('colours only on a terminal, never with NO_COLOR, always with FORCE_COLOR', (t) => {
  const coloured = (stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv) =>
    styleFor(stream, env).bold('x') !== 'x';
  t.true(coloured({ isTTY: true }, {}));
  t.false(coloured({}, {}));
  t.false(coloured({ isTTY: true }, { NO_COLOR: '1' }));
  t.false(coloured({ isTTY: true }, { TERM: 'dumb' }));
  t.true(coloured({}, { FORCE_COLOR: '1' }));
  t.false(coloured({}, { FORCE_COLOR: '0' }));
  t.false(coloured({}, { FORCE_COLOR: '1', NO_COLOR: '1' }));
});

test('a terminal too narrow or too wide still gets a readable width', (t) => {
  t.is(columnsOf({}), 80);
  t.is(columnsOf({ columns: 20 }), 76);
  t.is(columnsOf({ columns: 300 }), 100);
});
