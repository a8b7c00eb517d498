/** Twenty fixed questions about the example films, with the answers that their records give. */
import test from 'ava';
import { type Answer, QuestionAnswerer } from '../../lib/ask/index.js';
import { exampleFilms } from './films.js';

const NOT_KNOWN = /^not known/;

/** The question, what the answer must say, how it was to be found, and the film that the first source is of. */
const QUESTIONS: [question: string, text: RegExp, by: Answer['by'], title?: string][] = [
  ['Who directed The Lighthouse Keeper?', /^Maren Oyelund$/, 'fact', 'The Lighthouse Keeper'],
  ['How long is Red Meridian?', /^136 minutes$/, 'fact', 'Red Meridian'],
  ['When does Second Serve come out?', /^2027-02-12$/, 'fact', 'Second Serve'],
  ['What did The Salt Road cost?', /^\$24,000,000$/, 'fact', 'The Salt Road'],
  ['What kind of film is The Quiet Orchard?', /^Horror$/, 'fact', 'The Quiet Orchard'],
  ['Which film is the longest?', /^Red Meridian \(136 minutes\)$/, 'comparison', 'Red Meridian'],
  ['Which films did Maren Oyelund direct?', /^The Lighthouse Keeper, Second Serve$/, 'list'],
  ['How many films star Imani Quell?', /^2$/, 'list'],
  ['Which films come out in 2027?', /^The Lighthouse Keeper, Red Meridian, Second Serve$/, 'list'],
  ['Is Second Serve a comedy?', /^yes$/, 'fact', 'Second Serve'],
  [
    'Which boat speaks on the radio?',
    /Solveig|the boat on which her husband was lost/,
    'sentence',
    'The Lighthouse Keeper',
  ],
  ['How long has Astrid not left the island?', /eleven years/, 'sentence', 'The Lighthouse Keeper'],
  [
    'What do the trees in the old orchard grow into?',
    /shape of the people they miss/,
    'sentence',
    'The Quiet Orchard',
  ],
  [
    'Who is the film about the museum directed by?',
    /^Sunniva Rask$/,
    'fact',
    'Night Shift at the Museum of Small Machines',
  ],
  [
    'What happens to the generator in The Lighthouse Keeper?',
    /generator (?:is drowning|fails)/,
    'sentence',
    'The Lighthouse Keeper',
  ],
  ['Who composed the music of The Lighthouse Keeper?', NOT_KNOWN, 'none'],
  ['Where was Red Meridian shot?', NOT_KNOWN, 'none'],
  ['Who plays Astrid Hale?', NOT_KNOWN, 'none'],
  ['Which film is about tennis?', /^Second Serve$/, 'sentence', 'Second Serve'],
  ['Red Meridian 的导演是谁？', /^Cassia Thornbury$/, 'fact', 'Red Meridian'],
];

test('twenty questions, their answers, and the words they rest on', async (t) => {
  const films = await exampleFilms();
  await using answerer = await QuestionAnswerer.create(films, { threads: 1 });
  for (const [question, text, by, title] of QUESTIONS) {
    const answer = await answerer.ask(question);
    t.regex(answer.text, text, question);
    t.is(answer.by, by, question);
    t.is(answer.known, by !== 'none', question);
    if (answer.known) t.true(answer.sources.length > 0, question);
    if (title !== undefined) t.is(answer.sources[0]!.title, title, question);
    t.true(answer.sources.every(({ score }) => score >= 0 && score <= 1));
  }
});
