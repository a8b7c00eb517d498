/** `cinefuse ask` as a user runs it. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import test from 'ava';
import { packageRoot } from '../../lib/native.js';
import { serveChat } from '../ask/endpoint-server.js';

const root = packageRoot();
const FILM = path.join(root, 'examples', 'the-lighthouse-keeper');
const FILMS = path.join(root, 'examples', 'films.csv');

function ask(args: string[], env: NodeJS.ProcessEnv = {}) {
  const main = path.join(root, 'dist', 'lib', 'cli', 'main.js');
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    const options = { env: { ...process.env, NO_COLOR: '1', ...env } };
    execFile(process.execPath, [main, 'ask', ...args], options, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

test('a sentence with its source, a list as JSON, what is not known', async (t) => {
  const sentence = await ask(['What does Callum get on a pier?', FILM, '--no-embeddings']);
  t.is(sentence.code, 0, sentence.stderr);
  t.regex(
    sentence.stdout,
    /seasick on a pier[\s\S]*from\nThe Lighthouse Keeper, (?:script, CALLUM|subtitles at \d:\d\d:\d\d): /,
  );
  const list = await ask(['Which films come out in 2027?', FILM, FILMS, '--json', '--no-embeddings']);
  const { text, by, sources } = JSON.parse(list.stdout);
  t.is(text, 'The Lighthouse Keeper, Red Meridian, Second Serve');
  t.is(by, 'list');
  t.is(sources[0].quote, 'release date: 2027-03-12');
  const unknown = await ask(['Who composed the music?', FILM, '--no-embeddings']);
  t.is(unknown.code, 0);
  t.regex(unknown.stdout, /^not known: the record does not say \("composed" is in none of its texts\)/);
});

test('through an endpoint, with the key of the environment', async (t) => {
  await using server = await serveChat(
    ({ messages }) => {
      const line = messages
        .at(-1)!
        .content.split('\n')
        .find((one) => one.includes('"director"'));
      const { source } = JSON.parse(line!);
      return JSON.stringify({
        known: true,
        answer: 'The director is Maren Oyelund.',
        quotes: [{ source, text: 'Maren Oyelund' }],
      });
    },
    { key: 'secret-key' },
  );
  const args = [
    'Who directed it?',
    FILM,
    '--no-embeddings',
    '--endpoint',
    server.baseUrl,
    '--model',
    'local',
  ];
  const answer = await ask(args, { CINEFUSE_LLM_API_KEY: 'secret-key' });
  t.is(answer.code, 0, answer.stderr);
  t.regex(answer.stdout, /^The director is Maren Oyelund\.[\s\S]*worded by local/);
  const refused = await ask(args, { CINEFUSE_LLM_API_KEY: 'wrong-key' });
  t.regex(refused.stdout, /^Maren Oyelund[\s\S]*status 401/);
  t.false(refused.stdout.includes('wrong-key') || refused.stderr.includes('wrong-key'));
});

test('called wrongly', async (t) => {
  t.is((await ask(['Who?', FILM, '--endpoint', 'http://localhost/v1'])).code, 2);
  t.is((await ask(['Who?', FILM, '--gguf', 'a', '--endpoint', 'b', '--model', 'c'])).code, 2);
  const none = await ask(['Who?', path.join(root, 'no-such-film.json')]);
  t.is(none.code, 3);
  t.regex(none.stderr, /no-such-film/);
});
