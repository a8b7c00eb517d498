import type { BundleHead } from '../fusion/manifest.js';
import type { ForecastRow } from './evaluation.js';
import { forecastsOf, isJudged, likeliest } from './head-scores.js';
import { truthOf } from './calibrate.js';
import type { FilmTable } from './table.js';
import { presentOf, type TableModel } from './table-model.js';

/**
 * Every forecast of some films beside its truth, as served, for a table: films whose truth is unknown too. Of log10
 * heads the logarithms.
 *
 * @throws as evaluate
 */
export async function forecastRows(
  model: TableModel,
  table: FilmTable,
  rows: Int32Array,
  heads: readonly BundleHead[],
  signal?: AbortSignal,
): Promise<ForecastRow[]> {
  const count = model.modalities.length;
  const usable = rows.filter((film) =>
    table.present.subarray(film * count, (film + 1) * count).some(Boolean),
  );
  const present = presentOf(table, usable);
  const raw = await model.predict(usable, present, signal);
  const result: ForecastRow[] = [];
  for (const head of heads.filter(isJudged)) {
    const truth = truthOf(head, table);
    // forecastsOf leaves films of unknown truth out: here they stay, with an empty place
    const all = forecastsOf(head, raw, new Float32Array(table.ids.length), model.modalities, present);
    for (const [i, film] of all.films.entries()) {
      const known = Number.isNaN(truth[film]!) ? null : truth[film]!;
      const classes = head.task === 'multiclass' ? head.classes : undefined;
      result.push({
        id: table.ids[film]!,
        head: head.name,
        truth: classes && known !== null ? classes[known]! : known,
        forecast: classes ? classes[likeliest(all.value, i, classes.length)]! : all.value[i]!,
        ...(all.low && all.high && { low: all.low[i]!, high: all.high[i]! }),
      });
    }
  }
  return result;
}
