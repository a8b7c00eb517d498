import test from 'ava';
import { dialogueOf, parseSubtitles } from '../../lib/text/subtitles.js';
import { throwsTyped } from '../errors.js';

test('srt: times in milliseconds, markup and numbers left out, any line ends', (t) => {
  const srt =
    '\uFEFF1\r\n00:00:01,500 --> 00:00:03,000\r\n<i>Who is</i>\r\nthere?\r\n\r\n2\r\n01:02:03,04 --> 01:02:04,000 X1:0\r\n{\\an8}Nobody.\r\n\r\n3\r\nbroken --> time\r\nlost\r\n';
  t.deepEqual(parseSubtitles(srt), [
    { startMs: 1500, endMs: 3000, text: 'Who is there?' },
    { startMs: 3723040, endMs: 3724000, text: 'Nobody.' },
  ]);
});

test('vtt: header, notes, styles and cue ids are skipped; hours may be left out', (t) => {
  const vtt =
    'WEBVTT - a film\n\nNOTE nothing\n\nSTYLE\n::cue { color: red }\n\nintro\n00:01.000 --> 00:02.250 align:start\n<v Ann>Hello</v> &amp; <b>goodbye</b>\n\nstray words\n\n00:03.000 --> 00:04.000\n<v.loud Bo Lee>Hey &quot;you&quot;\n';
  t.deepEqual(parseSubtitles(vtt), [
    { startMs: 1000, endMs: 2250, text: 'Hello & goodbye', speaker: 'Ann' },
    { startMs: 3000, endMs: 4000, text: 'Hey "you"', speaker: 'Bo Lee' },
  ]);
});

test('srt as it is found: no blank lines between cues, blank lines within, times without fractions', (t) => {
  const srt =
    '1\n00:00:01 --> 00:00:02\nOne.\n2\n00:00:03,000-->00:00:04,000\nTwo,\n\nand more.\n\n3\n00:00:05,0 -> 00:00:06,0\n7\n\n4\n00:00:61,000 --> 00:01:02,000\nno time\n5\n00:00:09,000 --> 00:00:08,000\nbackwards\n';
  t.deepEqual(parseSubtitles(srt), [
    { startMs: 1000, endMs: 2000, text: 'One.' },
    { startMs: 3000, endMs: 4000, text: 'Two, and more.' },
    { startMs: 5000, endMs: 6000, text: '7' },
  ]);
  t.is(dialogueOf(srt), 'One.\nTwo, and more.\n7');
});

test('no cues: an empty list; hostile text ends soon, or is refused', async (t) => {
  t.deepEqual(parseSubtitles(''), []);
  t.deepEqual(parseSubtitles('just words'), []);
  const timing = '1\n00:00:01,000 --> 00:00:02,000\n';
  t.is(parseSubtitles(timing + '<'.repeat(200_000)).length, 1);
  t.is(parseSubtitles(timing + '{\\'.repeat(200_000)).length, 1);
  t.is(parseSubtitles(timing + '<v '.repeat(200_000)).length, 1);
  t.is(parseSubtitles(`${' '.repeat(200_000)}\n${':'.repeat(200_000)}`).length, 0);
  const hold = Math.ceil(4_000_001 / 16);
  await throwsTyped(t, () => parseSubtitles('0:0-->0:0\na\n'.repeat(200_001)), { code: 'ERR_INPUT_VALUE' });
  await throwsTyped(t, () => parseSubtitles('0123456789abcdef'.repeat(hold)), { code: 'ERR_INPUT_VALUE' });
});
