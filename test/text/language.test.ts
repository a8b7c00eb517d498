import test from 'ava';
import { coversLanguage, detectLanguage, scriptShares } from '../../lib/text/language.js';
import { TextThread } from '../../lib/text/text-thread.js';

/** [text, language, script] */
const TEXTS: [string, string, string][] = [
  ['A lighthouse keeper finds a message in a bottle and follows it across the sea.', 'en', 'Latin'],
  ['Ein Leuchtturmwärter findet eine Flaschenpost und folgt ihr über das Meer.', 'de', 'Latin'],
  ["Un gardien de phare trouve un message et le suit à travers l'océan.", 'fr', 'Latin'],
  ['Un farero encuentra un mensaje y lo sigue a través del océano.', 'es', 'Latin'],
  ['Смотритель маяка находит послание в бутылке.', 'ru', 'Cyrillic'],
  ['Доглядач маяка знаходить послання у пляшці.', 'uk', 'Cyrillic'],
  ['حارس منارة يجد رسالة في زجاجة ويتبعها عبر البحر', 'ar', 'Arabic'],
  ['نگهبان فانوس دریایی نامه‌ای در یک بطری پیدا می‌کند', 'fa', 'Arabic'],
  ['守塔人在瓶子里发现了一封信，于是跨海追寻。', 'zh', 'Han'],
  ['流浪地球', 'zh', 'Han'],
  ['守塔人在海边发现了 The Lighthouse Keeper 的信', 'zh', 'Han'],
  ['千と千尋の神隠し', 'ja', 'Han'],
  ['とうだいもりの ものがたり', 'ja', 'Hiragana'],
  ['灯台守は瓶の中の手紙を見つけて、海を渡る。', 'ja', 'Han'],
  ['등대지기가 병 속의 편지를 발견한다', 'ko', 'Hangul'],
  ['기생충', 'ko', 'Hangul'],
  ['ผู้ดูแลประภาคารพบข้อความ', 'th', 'Thai'],
  ['Ο φαροφύλακας βρίσκει ένα μήνυμα', 'el', 'Greek'],
  ['שומר המגדלור מוצא מכתב', 'he', 'Hebrew'],
  ['यह फिल्म एक आदमी की कहानी है जो समुद्र के पार जाता है और अपने भाई को ढूंढता है', 'hi', 'Devanagari'],
];

for (const [text, language, script] of TEXTS) {
  test(`${language}: ${text.slice(0, 24)}`, async (t) => {
    const guess = await detectLanguage(text);
    t.like(guess, { language, script });
    t.true(guess.confidence > 0 && guess.confidence <= 1);
    t.is(guess.candidates[0]!.language, language);
    t.true(coversLanguage([language], guess));
  });
}

test('nothing to tell from', async (t) => {
  for (const text of ['', ' \n', '1984 — 2001!', '🎬🎬']) {
    const guess = await detectLanguage(text);
    t.deepEqual(guess, { language: 'und', confidence: 0, script: 'none', letters: 0, candidates: [] }, text);
    t.true(coversLanguage(['en'], guess));
  }
});

test('an encoder covers its own languages and close calls, nothing else', async (t) => {
  const chinese = await detectLanguage('守塔人在瓶子里发现了一封信。');
  t.false(coversLanguage(['en'], chinese));
  t.true(coversLanguage(['en', 'zh'], chinese));
  t.true(coversLanguage('any', chinese));
  // English, but French is ahead by a hair in the detector's table.
  const close = await detectLanguage('Giant mutant rabbits terrorize the southwest!!');
  t.true(coversLanguage(['en'], close));
  const german = await detectLanguage(
    'Ein Leuchtturmwärter findet eine Flaschenpost und folgt ihr über das Meer.',
  );
  t.false(coversLanguage(['en'], german));
});

test('shares of scripts sum to 1, ideographs counting 2.5 letters', (t) => {
  const shares = scriptShares('abcde中文字国');
  t.deepEqual(shares, [
    { script: 'Han', share: 10 / 15 },
    { script: 'Latin', share: 5 / 15 },
  ]);
  t.deepEqual(scriptShares('123'), []);
});

test('only samples of a long text are looked at, from all its parts', async (t) => {
  const long = `${'Der Film handelt von einem Leuchtturm. '.repeat(200)}${'字'.repeat(200)}`;
  const guess = await detectLanguage(long);
  t.is(guess.language, 'de');
});

test('the text thread answers the same, can be cancelled and disposed', async (t) => {
  await using thread = new TextThread();
  t.deepEqual(await thread.detectLanguage(TEXTS[0]![0]), await detectLanguage(TEXTS[0]![0]));
  await t.throwsAsync(thread.detectLanguage('x', { signal: AbortSignal.abort() }), { name: 'AbortError' });
  await thread.dispose();
  await t.throwsAsync(thread.detectLanguage('x'), { code: 'ERR_DISPOSED' });
});

test('a short text needs only the script of a covered language; a long one its letters', async (t) => {
  for (const title of ['Birdman', 'Miss Congeniality', 'Flashdance', 'Norma Rae', 'Chocolat', '12']) {
    t.true(coversLanguage(['en'], await detectLanguage(title), true), title);
  }
  for (const title of ['霸王别姬', 'Сталкер', 'ドライブ・マイ・カー']) {
    t.false(coversLanguage(['en'], await detectLanguage(title), true), title);
  }
  t.true(coversLanguage(['ru'], await detectLanguage('Сталкер'), true));
  const french = 'Un acteur vieillissant retrouve sa famille à Paris pour un dernier repas avant la fin.';
  t.false(coversLanguage(['en'], await detectLanguage(french), true));
  t.false(coversLanguage(['en'], await detectLanguage('Ce film est une merveille'), false));
});
