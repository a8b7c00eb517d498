/** Screenplays into scenes, characters and dialogue. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { packageRoot } from '../../../lib/native.js';
import { parseScreenplay, readScreenplay, tidy } from '../../../lib/text/scripts/screenplay.js';
import { randomOf } from '../../../lib/train/random.js';
import type { Screenplay, ScriptElementKind } from '../../../lib/text/scripts/types.js';
import { throwsTyped } from '../../errors.js';
import { sharedPath, sharedTest } from '../../shared.js';

/** "kind speaker: text" of every element. */
function listing({ elements }: Screenplay): string[] {
  return elements.map(({ kind, speaker, text }) => `${kind}${speaker ? ` ${speaker}` : ''}: ${text}`);
}

test('Fountain: every kind of element by its rule', (t) => {
  const script = [
    'Title:',
    '    _**BRICK & STEEL**_',
    'Author: Somebody',
    '',
    '# Act One',
    '= What happens here.',
    '',
    'INT. HOUSE - KITCHEN - NIGHT #12A#',
    '',
    'Rain. *Much* rain /* not this */ falls.',
    '[[A note',
    'of two lines]]',
    '',
    'STEEL (V.O.)',
    '(quietly)',
    'You are _late_.',
    '  ',
    'Very late.',
    '',
    'BRICK ^',
    'I know!',
    '~Willy Wonka',
    '',
    '.BLACK SCREEN',
    '',
    '@McCLANE',
    'Yippie.',
    '',
    '!SCANNING THE AISLES...',
    'Where is he?',
    '',
    'BANG!',
    '',
    '...and then silence.',
    '',
    '> THE END <',
    '',
    'SMASH CUT TO:',
    '',
    '> Burn to white.',
    '',
    '===',
    '',
    'int. car - day',
    '',
    'He drives.',
  ].join('\n');
  const parsed = parseScreenplay(script);
  t.is(parsed.format, 'fountain');
  t.deepEqual(parsed.titlePage, { title: 'BRICK & STEEL', author: 'Somebody' });
  t.deepEqual(listing(parsed), [
    'section: Act One',
    'synopsis: What happens here.',
    'heading: INT. HOUSE - KITCHEN - NIGHT',
    'action: Rain. Much rain falls.',
    'note: A note of two lines',
    'character STEEL: STEEL (V.O.)',
    'parenthetical STEEL: (quietly)',
    'dialogue STEEL: You are late.',
    'dialogue STEEL: Very late.',
    'character BRICK: BRICK ^',
    'dialogue BRICK: I know!',
    'lyrics BRICK: Willy Wonka',
    'heading: BLACK SCREEN',
    'character MCCLANE: @McCLANE',
    'dialogue MCCLANE: Yippie.',
    'action: SCANNING THE AISLES... Where is he?',
    'action: BANG!',
    'action: ...and then silence.',
    'centered: THE END',
    'transition: SMASH CUT TO:',
    'transition: Burn to white.',
    'page-break: ===',
    'heading: int. car - day',
    'action: He drives.',
  ]);
  t.like(parsed.scenes[0], {
    setting: 'INT',
    location: 'HOUSE - KITCHEN',
    time: 'NIGHT',
    number: '12A',
    speakers: ['STEEL', 'BRICK'],
  });
  t.deepEqual(
    parsed.scenes.map(({ location }) => location),
    ['HOUSE - KITCHEN', 'BLACK SCREEN', 'car'],
  );
  t.is(parsed.elements.find(({ dual }) => dual)?.speaker, 'BRICK');
  t.is(parsed.elements.find(({ extension }) => extension)?.extension, 'V.O.');
});

test('plain text: cues by indentation, scene numbers, page numbers, (MORE)', (t) => {
  const script = `
12   INT. ENGINE ROOM - NIGHT                                     12

     Steam. OLSEN kicks a valve. It does
     not care.
                              OLSEN
               Give me ten minutes.
                    (to the valve)
               Give me five.
     He kicks it again.

                              MARA
               You have none.
                              (MORE)

                                                            17.
     CONTINUED:
                              MARA (CONT'D)
               Neither have we.

13   EXT. DECK - CONTINUOUS                                       13

     Nothing but sea.
`;
  const parsed = parseScreenplay(script);
  t.is(parsed.format, 'plain');
  t.deepEqual(
    parsed.scenes.map(({ number, setting, location, time }) => [number, setting, location, time]),
    [
      ['12', 'INT', 'ENGINE ROOM', 'NIGHT'],
      ['13', 'EXT', 'DECK', 'CONTINUOUS'],
    ],
  );
  t.deepEqual(
    listing(parsed).filter((line) => !/^(mark|heading)/.test(line)),
    [
      'action: Steam. OLSEN kicks a valve. It does not care.',
      'character OLSEN: OLSEN',
      'dialogue OLSEN: Give me ten minutes.',
      'parenthetical OLSEN: (to the valve)',
      'dialogue OLSEN: Give me five.',
      'action: He kicks it again.',
      'character MARA: MARA',
      'dialogue MARA: You have none.',
      "character MARA: MARA (CONT'D)",
      'dialogue MARA: Neither have we.',
      'action: Nothing but sea.',
    ],
  );
  t.is(parsed.elements.filter(({ kind }) => kind === 'mark').length, 3);
});

test('plain text: "NAME: words", in Latin letters and in Chinese', (t) => {
  const play =
    'ANNA: You came back.\nTOM (laughing): I had\nno choice.\n\nThe door closes.\n\nANNA: Nobody has.\n';
  t.deepEqual(listing(parseScreenplay(play)), [
    'character ANNA: ANNA',
    'dialogue ANNA: You came back.',
    'character TOM: TOM (laughing)',
    'dialogue TOM: I had no choice.',
    'action: The door closes.',
    'character ANNA: ANNA',
    'dialogue ANNA: Nobody has.',
  ]);
  const chinese =
    '第一场 日 内 咖啡馆\n\n李明走进来，坐下。\n\n李明：你来得真早。\n王芳（笑）：我一直在等你。\n\n2-1 外 街道 夜\n\n下雨了。第一场比赛开始了。\n';
  const parsed = parseScreenplay(chinese);
  t.deepEqual(
    parsed.scenes.map(({ number, setting, location, time }) => [number, setting, location, time]),
    [
      ['一', 'INT', '咖啡馆', '日'],
      ['2-1', 'EXT', '街道', '夜'],
    ],
  );
  t.deepEqual(
    parsed.characters.map(({ name }) => name),
    ['李明', '王芳'],
  );
  t.deepEqual(
    listing(parsed).filter((line) => line.startsWith('dialogue')),
    ['dialogue 李明: 你来得真早。', 'dialogue 王芳: 我一直在等你。'],
  );
  t.is(listing(parsed).filter((line) => line.startsWith('action')).length, 2);
});

test('places: every element stands where it says, in any line ends', (t) => {
  const file = path.join(packageRoot(), 'examples', 'the-lighthouse-keeper', 'script.fountain');
  const script = readFileSync(file, 'utf8');
  for (const text of [script, script.replaceAll('\n', '\r\n'), script.replaceAll('\n', '\r')]) {
    const { elements, scenes, titlePage } = parseScreenplay(text);
    t.is(titlePage.title, 'The Lighthouse Keeper');
    for (const { start, end, text: own } of elements) t.is(tidy(text.slice(start, end)), own);
    t.is(scenes.length, 8);
    for (const [i, scene] of scenes.entries()) {
      t.is(scene.start, elements[scene.first]!.start);
      t.true(scene.end <= (scenes[i + 1]?.start ?? text.length));
    }
  }
  const { characters, words, pages } = parseScreenplay(script);
  t.deepEqual(
    characters.map(({ name, speeches }) => [name, speeches]),
    [
      ['ASTRID', 8],
      ['CALLUM', 7],
      ['RADIO', 1],
      ['SKIPPER', 1],
    ],
  );
  t.true(Math.abs(characters.reduce((sum, { share }) => sum + share, 0) - 1) < 1e-9);
  t.true(words > 480 && words < 560 && pages >= 2 && pages <= 4);
});

/** Words in lines of at most `width` columns. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!;
    if (line !== '' && line.length + word.length >= width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}

const INDENT: Partial<Record<ScriptElementKind, [columns: number, width: number]>> = {
  character: [37, 60],
  parenthetical: [31, 25],
  dialogue: [25, 35],
};

/** A script as a typewriter has it: by indentation alone, with page numbers. */
function typed({ elements }: Screenplay): string {
  const lines: string[] = [];
  for (const { kind, text } of elements) {
    const [columns, width] = INDENT[kind] ?? [15, 60];
    if (kind !== 'dialogue' && kind !== 'parenthetical') lines.push('');
    for (const line of wrapped(text, width)) lines.push(' '.repeat(columns) + line);
    if (kind === 'heading') lines.push('');
    if (kind === 'action' && lines.length % 7 === 0) lines.push('', `${' '.repeat(70)}${lines.length}.`);
  }
  return lines.join('\n');
}

test('the same script typed by indentation is read the same', (t) => {
  const file = path.join(packageRoot(), 'examples', 'the-lighthouse-keeper', 'script.fountain');
  const fountain = parseScreenplay(readFileSync(file, 'utf8'));
  const plain = parseScreenplay(typed({ ...fountain, elements: fountain.elements.slice(1) }));
  t.is(plain.format, 'plain');
  t.deepEqual(
    listing(plain).filter((line) => !line.startsWith('mark')),
    listing(fountain).slice(1),
  );
  t.deepEqual(plain.characters, fountain.characters);
  t.deepEqual(
    plain.scenes.map(({ heading, speakers }) => [heading, speakers]),
    fountain.scenes.map(({ heading, speakers }) => [heading, speakers]),
  );
});

test('any lines in any order: elements in order, apart, with their own text; every word is somewhere', (t) => {
  const random = randomOf(6);
  const pieces = [
    ...[
      'INT. ROOM - DAY',
      '.FORCED',
      'ANNA',
      'ANNA (V.O.) ^',
      '@McX',
      '(softly)',
      'Some words here.',
      'CUT TO:',
    ],
    ...[
      '> middle <',
      '> Out.',
      '~la la',
      '# Act',
      '= synopsis',
      '===',
      '[[note]]',
      '[[open',
      '/* gone */',
      '/*',
    ],
    ...[
      '!ACT NOW',
      'BO: Yes.',
      '李明：好。',
      '第二场 夜 内 家',
      '12.',
      '(MORE)',
      '*bold* _under_',
      '',
      '',
      '  ',
      '\t\tDEEP',
    ],
  ];
  for (let round = 0; round < 300; round++) {
    const lines = Array.from({ length: 1 + Math.floor(random.next() * 30) }, () => {
      const indent = random.next() < 0.3 ? ' '.repeat(Math.floor(random.next() * 40)) : '';
      return indent + pieces[Math.floor(random.next() * pieces.length)]!;
    });
    const text = `words first\n${lines.join(random.next() < 0.5 ? '\n' : '\r\n')}`;
    const { elements, scenes } = parseScreenplay(text);
    let end = 0;
    for (const element of elements) {
      t.true(element.end >= element.start, text);
      // A note stands inside the paragraph that it is about.
      if (element.kind === 'note') continue;
      t.true(element.start >= end, text);
      end = element.end;
    }
    const outside = elements.reduceRight(
      (rest, { start, end }) => rest.slice(0, start) + ' '.repeat(end - start) + rest.slice(end),
      text.replace(/\/\*[\s\S]*?\*\//g, (comment) => ' '.repeat(comment.length)),
    );
    t.regex(outside, /^[\s!@.>~#=<：:*]*$/, JSON.stringify(text));
    for (const [i, { first, last }] of scenes.entries()) {
      t.true(last > first && first === (scenes[i - 1]?.last ?? first));
    }
  }
});

sharedTest('a screenplay of others: its scenes and who speaks', ['data/movies/media'], (t) => {
  const text = readFileSync(sharedPath('data/movies/media/script_ascent_to_guru_peak.fountain'), 'utf8');
  const { scenes, characters, elements } = parseScreenplay(text);
  t.is(scenes.length, text.match(/^EXT\. .*$/gm)!.length);
  t.deepEqual(
    characters.map(({ name, speeches }) => [name, speeches]),
    [
      ['YORBLEF', text.match(/^YORBLEF$/gm)!.length],
      ['GURU', 1],
    ],
  );
  t.is(elements.at(-1)?.text, 'THE END');
});

test('prose without headings is one scene of action', (t) => {
  const { scenes, characters } = parseScreenplay('She waits. Nobody comes.\nInt. cannot be divided.');
  t.is(scenes.length, 1);
  t.is(scenes[0]!.heading, undefined);
  t.deepEqual(characters, []);
});

test('what is no script has a typed error', async (t) => {
  await throwsTyped(t, () => parseScreenplay(7 as unknown as string), {
    code: 'ERR_INPUT_TYPE',
    field: 'script',
  });
  await throwsTyped(t, () => parseScreenplay(' \n '), { code: 'ERR_INPUT_EMPTY' });
  await throwsTyped(t, () => parseScreenplay('a'.repeat(4_000_001)), { code: 'ERR_INPUT_VALUE' });
  await throwsTyped(t, () => parseScreenplay('a', { format: 'pdf' as 'plain' }), {
    code: 'ERR_INPUT_VALUE',
    field: 'options.format',
  });
});

test('hostile text ends soon, and the event loop turns meanwhile', async (t) => {
  const long = 60_000;
  for (const text of [
    '/*'.repeat(long),
    '[['.repeat(long),
    `${'[['.repeat(long)}]]`,
    '*_'.repeat(long),
    `${'A '.repeat(long)}:`,
    `INT. ${'a - '.repeat(long)}`,
    '('.repeat(long),
    `第${'一'.repeat(long)}场`,
    'A\nb\n\n'.repeat(long / 4),
    `${' '.repeat(long)}${'\n'.repeat(long)}x`,
    '::'.repeat(long),
  ]) {
    const parsed = parseScreenplay(text);
    t.true(parsed.elements.length > 0);
  }
  await throwsTyped(t, () => parseScreenplay('.a\n'.repeat(210_000)), { code: 'ERR_INPUT_VALUE' });
  let turns = 0;
  const ticking = setInterval(() => turns++, 1);
  await readScreenplay('INT. A - DAY\n\nBO\nHello there.\n\n'.repeat(5_000));
  clearInterval(ticking);
  t.true(turns > 3, `${turns} turns`);
});
