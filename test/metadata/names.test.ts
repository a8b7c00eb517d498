import test from 'ava';
import { GENRES, genresOf, languageGroup, nameKey } from '../../lib/metadata/names.js';
import { seriesKey, titleFeatures } from '../../lib/metadata/title.js';

test('a name has one key however it is written', (t) => {
  const spellings: [string, ...string[]][] = [
    ['jj abrams', 'J.J. Abrams', 'J. J. Abrams', ' j.j.  ABRAMS ', 'JJ Abrams'],
    ['penelope cruz', 'Penélope Cruz', 'Penelope\u0301 Cruz', 'PENÉLOPE CRUZ'],
    ['lupita nyongo', "Lupita Nyong'o", 'Lupita Nyong’o'],
    ['mads mikkelsen', 'Mads Mikkelsen'],
    ['soren malling', 'Søren Malling', 'Soren Malling'],
    ['joseph gordon levitt', 'Joseph Gordon-Levitt', 'Joseph Gordon Levitt'],
    ['samuel l jackson', 'Samuel L. Jackson'],
    ['jrr tolkien', 'J.R.R. Tolkien', 'J. R. R. Tolkien'],
    ['吴京', '吴京', ' 吴京 '],
    ['송강호', '송강호', '송강호'.normalize('NFD')],
  ];
  for (const [key, ...names] of spellings) for (const name of names) t.is(nameKey(name), key, name);
});

test('a key is its own key, and a text without letters has none', (t) => {
  for (const name of ['J. J. Abrams', 'Zoë Kravitz', 'ß æ ø', 'ガメラ', 'M. Night Shyamalan', '50 Cent']) {
    t.is(nameKey(nameKey(name)), nameKey(name), name);
  }
  for (const empty of ['', '  ', '...', '—', '💥']) t.is(nameKey(empty), '');
});

test('genres are known by English and Chinese names; what is not known is nothing', (t) => {
  for (const genre of GENRES) t.deepEqual(genresOf(genre.toUpperCase()), [genre]);
  t.deepEqual(genresOf('Sci-Fi'), ['Science Fiction']);
  t.deepEqual(genresOf('科幻'), ['Science Fiction']);
  t.deepEqual(genresOf('剧情'), ['Drama']);
  t.deepEqual(genresOf('Romantic Comedy'), ['Romance', 'Comedy']);
  t.deepEqual(genresOf('Mumblecore'), []);
  t.deepEqual(genresOf(''), []);
});

test('language tags fall into groups', (t) => {
  t.is(languageGroup('EN'), 'english');
  t.is(languageGroup('en-GB'), 'english');
  t.is(languageGroup('cn'), 'chinese');
  t.is(languageGroup('zh_TW'), 'chinese');
  t.is(languageGroup('pt-BR'), 'romance');
  t.is(languageGroup('sw'), 'other');
});

test('parts of a series share a key', (t) => {
  const series: [string, ...string[]][] = [
    ['toy story', 'Toy Story', 'Toy Story 3'],
    ['godfather', 'The Godfather', 'The Godfather: Part II', 'The Godfather Part III'],
    ['rocky', 'Rocky', 'Rocky IV'],
    ['star wars', 'Star Wars: Episode V - The Empire Strikes Back', 'Star Wars'],
    ['spider man', 'Spider-Man', 'Spider-Man 2'],
    ['战狼', '战狼', '战狼2', '战狼 2'],
  ];
  for (const [key, ...titles] of series) for (const title of titles) t.is(seriesKey(title), key, title);
  t.is(seriesKey('2012'), '2012');
  t.is(seriesKey('X'), 'x');
  t.is(seriesKey('Malcolm X'), 'malcolm x');
  t.is(seriesKey(''), '');
});

test('a title tells whether it is a later part', (t) => {
  for (const title of [
    'Rocky II',
    'Toy Story 3',
    'Kill Bill: Vol. 2',
    'The Godfather: Part II',
    '寒战2',
    '叶问之终极一战第二部',
  ]) {
    t.is(titleFeatures(title).sequel, 1, title);
  }
  for (const title of ['Rocky', '2012', 'Apollo 13', 'Malcolm X', 'I, Robot', 'Seven', '']) {
    t.is(titleFeatures(title).sequel, title === 'Apollo 13' ? 1 : 0, title);
  }
  t.is(titleFeatures('Mission: Impossible').colon, 1);
  t.is(titleFeatures('Airplane!').sign, 1);
  t.deepEqual(titleFeatures(''), { length: 0, words: 0, sequel: 0, colon: 0, sign: 0, article: 0 });
  for (const value of Object.values(titleFeatures('x '.repeat(5000)))) t.true(value >= 0 && value <= 3);
});
