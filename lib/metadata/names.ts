/** Names of people, genres and languages brought to one written form, so that a table made from one source is found from another. */

/** Letters that NFKD leaves whole although readers write them with plain ones. */
const PLAIN_LETTERS: Readonly<Record<string, string>> = {
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
  ø: 'o',
  ł: 'l',
  đ: 'd',
  ð: 'd',
  þ: 'th',
  ı: 'i',
};

/**
 * The key under which a person or a title is looked up: lower case, accents, punctuation and repeated spaces
 * removed, initials joined ("J. J. Abrams", "J.J. Abrams" and "jj abrams" are one). Other scripts are kept as
 * they are (NFKC, lower case). Empty if the text has no letter or digit.
 */
export function nameKey(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/[\u0300-\u036f]/g, '')
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[ßæœøłđðþı]/g, (letter) => PLAIN_LETTERS[letter] ?? letter)
    .replace(/['’‘`´.]/g, (mark) => (mark === '.' ? ' ' : ''))
    .replace(/[^\p{L}\p{N}\p{M}]+/gu, ' ')
    .trim()
    .replace(/(?<=^|\s)(\p{L})\s(?=\p{L}(?:\s|$))/gu, '$1');
}

/** The genres the encoder knows, in TMDB's English words. */
export const GENRES = [
  'Action',
  'Adventure',
  'Animation',
  'Comedy',
  'Crime',
  'Documentary',
  'Drama',
  'Family',
  'Fantasy',
  'Foreign',
  'History',
  'Horror',
  'Music',
  'Mystery',
  'Romance',
  'Science Fiction',
  'Thriller',
  'TV Movie',
  'War',
  'Western',
] as const;

/** Other names in use for them: everyday English, TMDB's and Douban's Chinese. */
const GENRE_ALIASES: Readonly<Record<string, readonly (typeof GENRES)[number][]>> = {
  'sci fi': ['Science Fiction'],
  scifi: ['Science Fiction'],
  sf: ['Science Fiction'],
  'romantic comedy': ['Romance', 'Comedy'],
  romcom: ['Romance', 'Comedy'],
  musical: ['Music'],
  historical: ['History'],
  biography: ['History'],
  animated: ['Animation'],
  kids: ['Family'],
  children: ['Family'],
  suspense: ['Thriller'],
  'film noir': ['Crime'],
  noir: ['Crime'],
  tv: ['TV Movie'],
  动作: ['Action'],
  武侠: ['Action'],
  冒险: ['Adventure'],
  动画: ['Animation'],
  喜剧: ['Comedy'],
  犯罪: ['Crime'],
  黑色电影: ['Crime'],
  纪录: ['Documentary'],
  纪录片: ['Documentary'],
  剧情: ['Drama'],
  家庭: ['Family'],
  儿童: ['Family'],
  奇幻: ['Fantasy'],
  历史: ['History'],
  传记: ['History'],
  古装: ['History'],
  恐怖: ['Horror'],
  音乐: ['Music'],
  歌舞: ['Music'],
  悬疑: ['Mystery'],
  爱情: ['Romance'],
  科幻: ['Science Fiction'],
  惊悚: ['Thriller'],
  战争: ['War'],
  西部: ['Western'],
  电视电影: ['TV Movie'],
};

const GENRE_BY_KEY = new Map<string, readonly string[]>([
  ...GENRES.map((genre) => [nameKey(genre), [genre]] as const),
  ...Object.entries(GENRE_ALIASES).map(([alias, genres]) => [nameKey(alias), genres] as const),
]);

/** The known genres that a genre's name stands for (English or Chinese, any case); none if it is not known. */
export function genresOf(name: string): readonly string[] {
  return GENRE_BY_KEY.get(nameKey(name)) ?? [];
}

/** Groups of original languages, by ISO 639-1 (TMDB's `cn`, Cantonese, counts as Chinese). English is the ground level. */
export const LANGUAGE_GROUPS: Readonly<Record<string, readonly string[]>> = {
  chinese: ['zh', 'cn', 'yue', 'cmn'],
  'japanese-korean': ['ja', 'ko'],
  indian: ['hi', 'ta', 'te', 'ml', 'bn', 'kn', 'mr', 'pa'],
  romance: ['fr', 'es', 'it', 'pt', 'ro', 'ca'],
  germanic: ['de', 'nl', 'sv', 'da', 'no', 'nb', 'is'],
};

/** The group of a language tag ("pt-BR" counts as "pt"), `english`, or `other`. */
export function languageGroup(tag: string): string {
  const code = tag.trim().toLowerCase().split(/[-_]/)[0] ?? '';
  if (code === 'en') return 'english';
  for (const [group, codes] of Object.entries(LANGUAGE_GROUPS)) if (codes.includes(code)) return group;
  return 'other';
}
