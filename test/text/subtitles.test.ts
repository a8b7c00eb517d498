import test from 'ava';
import { parseSubtitles } from '../../lib/text/subtitles.js';

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
    'WEBVTT - a film\n\nNOTE nothing\n\nSTYLE\n::cue { color: red }\n\nintro\n00:01.000 --> 00:02.250 align:start\n<v Ann>Hello</v> &amp; <b>goodbye</b>\n';
  t.deepEqual(parseSubtitles(vtt), [{ startMs: 1000, endMs: 2250, text: 'Hello & goodbye' }]);
});

test('no cues: an empty list; hostile text ends soon', (t) => {
  t.deepEqual(parseSubtitles(''), []);
  t.deepEqual(parseSubtitles('just words'), []);
  const cues = parseSubtitles(`1\n00:00:01,000 --> 00:00:02,000\n${'<'.repeat(200_000)}`);
  t.is(cues.length, 1);
});
