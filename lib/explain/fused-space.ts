/** Where the network puts films. */
import type { EncodedFilm } from '../film-encoder.js';
import type { Forecast, Forecaster } from '../forecast.js';
import { type FilmEmbeddings, filmOutputs } from '../fuse.js';
import type { InputName } from '../fusion/manifest.js';
import { FUSED } from '../fusion/fused-network.js';
import type { ParsedMovie } from '../movie.js';
import type { PredictOptions } from '../options.js';
import { encodeOptions } from '../predict-options.js';

/** A film in the space that the heads of a model read it from. */
export interface FilmPosition {
  /** The model it is a position in: positions of different models have nothing to do with each other. */
  model: { name: string; version: string };
  /** What the position rests on, in the order of the model's inputs. */
  inputs: InputName[];
  /** Of the whole film. */
  fused: Float32Array;
  /** Of the film as each of its inputs alone would have it; one for each of `inputs`. */
  alone: Float32Array[];
  film: ParsedMovie;
}

/** @throws as Predictor.predict */
export async function locateFilm(
  forecaster: Forecaster,
  film: ParsedMovie,
  options: PredictOptions,
  base?: Forecast,
): Promise<FilmPosition> {
  const { manifest, encoder, jobs, exec, rooms } = forecaster;
  const encoded: EncodedFilm =
    base?.encoded ?? (await encoder.encode([film], jobs, encodeOptions(options)))[0]!;
  if (encoded.error) throw encoded.error;
  const { embeddings } = encoded;
  if (embeddings.size === 0) throw rooms.nothingUsable(manifest, encoded);
  const present = jobs.filter(({ key }) => embeddings.has(key));
  const inputs = [...new Set(present.map(({ input }) => input))];
  const rows: FilmEmbeddings[] = [
    { embeddings },
    ...inputs.map((input) => ({
      embeddings: new Map(
        present.filter((job) => job.input === input).map(({ key }) => [key, embeddings.get(key)!]),
      ),
    })),
  ];
  const network = forecaster.fusedNetwork();
  const [fused, ...alone] = await filmOutputs(network, manifest, rows, { ...exec, signal: options.signal });
  const width = network.spec.heads[0]!.out;
  const vectorOf = (own: typeof fused) =>
    Float32Array.from({ length: width }, (_, i) => own!.output(FUSED, i));
  const { name, version } = manifest;
  return { model: { name, version }, inputs, fused: vectorOf(fused), alone: alone.map(vectorOf), film };
}
