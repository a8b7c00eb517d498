import test from 'ava';
import { evaluationText } from '../../lib/cli/evaluation-text.js';
import { displayWidth, styleFor } from '../../lib/cli/terminal.js';
import { fitBaselines } from '../../lib/train/baselines.js';
import { evaluate } from '../../lib/train/evaluate.js';
import { isJudged, type JudgedHead } from '../../lib/train/head-scores.js';
import { figure } from '../../lib/train/report/labels.js';
import { rowsOf, WORLD_HEADS, world } from '../train/world.js';

test('an evaluation on a terminal: every head with its tables, and no escape sequence of the data', async (t) => {
  const { table, model } = world(900, 1);
  const titles = table.ids.map((id) => `\u001b[31m${id}\nsecond line`);
  const heads = WORLD_HEADS.filter(isJudged) as JudgedHead[];
  const baselines = await fitBaselines(table, { train: rowsOf(0, 400), valid: rowsOf(400, 500) }, heads);
  const options = { baselines, draws: 20, part: 'te\u001bst' };
  const evaluation = await evaluate(model, { ...table, titles }, rowsOf(500, 900), WORLD_HEADS, options);
  const text = evaluationText(evaluation, { style: styleFor({}, {}), columns: 100 });
  t.false(text.includes('\u001b'));
  t.true(text.endsWith('.\n'));
  for (const head of evaluation.heads) {
    t.regex(text, new RegExp(`^${head.name}  ${head.films} films`, 'm'));
    t.true(text.includes(figure(head.scores[head.main])));
  }
  for (const word of [
    'ridge',
    'logistic',
    'majority',
    'a alone (400)',
    'By parity',
    'Most wrong about',
    '(ECE; calibrated on theory)',
  ]) {
    t.true(text.includes(word), word);
  }
  t.true(text.split('\n').every((line) => !line.startsWith('the model') || displayWidth(line) <= 100));
});
