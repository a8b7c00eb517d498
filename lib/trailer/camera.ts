/** What a camera did between two pictures, in pixels of them and radians. */
export interface CameraMove {
  /** By which the picture's content moves, right and down. */
  dx: number;
  dy: number;
  /** Enlargement, less 1. */
  zoom: number;
  /** Clockwise. */
  roll: number;
  /** Of the whole motion, the part that the move explains: 0..1; 0 where nothing moves. */
  share: number;
}

/** A place counts for half where it is so many pixels off; from rough to fine, so that a large thing in front lets go. */
const SCALES = [4, 2, 1, 0.5, 0.5, 0.5];

/**
 * The shift, zoom and roll about the middle of the picture that most of a flow field agrees with: from the medians, least
 * squares reweighted by 1 / (1 + (r / s)²). What moves on its own and fills less than about half of the picture does not
 * count; a thing that fills more is taken for the camera.
 *
 * @param flow  (height, width, 2)
 * @param step  takes each so many-th row and column
 */
export function cameraMove(flow: Float32Array, width: number, height: number, step = 2): CameraMove {
  let [tx, ty] = middles(flow, width, height, step);
  let [zoom, roll] = [0, 0];
  const [cx, cy] = [(width - 1) / 2, (height - 1) / 2];
  for (const scale of SCALES) {
    let [w1, wx, wy, wr, wu, wv, wa, wb] = [0, 0, 0, 0, 0, 0, 0, 0];
    for (let y = 0; y < height; y += step) {
      const py = y - cy;
      for (let x = 0; x < width; x += step) {
        const px = x - cx;
        const u = flow[2 * (y * width + x)]!;
        const v = flow[2 * (y * width + x) + 1]!;
        const p = u - tx - zoom * px + roll * py;
        const q = v - ty - roll * px - zoom * py;
        const w = 1 / (1 + (p * p + q * q) / (scale * scale));
        w1 += w;
        wx += w * px;
        wy += w * py;
        wr += w * (px * px + py * py);
        wu += w * u;
        wv += w * v;
        wa += w * (px * u + py * v);
        wb += w * (px * v - py * u);
      }
    }
    const spread = wr - (wx * wx + wy * wy) / w1;
    zoom = spread > 0 ? (wa - (wx * wu + wy * wv) / w1) / spread : 0;
    roll = spread > 0 ? (wb - (wx * wv - wy * wu) / w1) / spread : 0;
    tx = (wu - zoom * wx + roll * wy) / w1;
    ty = (wv - roll * wx - zoom * wy) / w1;
  }
  let [all, rest] = [0, 0];
  for (let y = 0; y < height; y += step) {
    for (let x = 0; x < width; x += step) {
      const [px, py] = [x - cx, y - cy];
      const u = flow[2 * (y * width + x)]!;
      const v = flow[2 * (y * width + x) + 1]!;
      all += u * u + v * v;
      rest += (u - tx - zoom * px + roll * py) ** 2 + (v - ty - roll * px - zoom * py) ** 2;
    }
  }
  return { dx: tx, dy: ty, zoom, roll, share: all > 0 ? Math.max(0, 1 - rest / all) : 0 };
}

/** Medians of both components. */
function middles(flow: Float32Array, width: number, height: number, step: number): [number, number] {
  const u: number[] = [];
  const v: number[] = [];
  for (let y = 0; y < height; y += step) {
    for (let x = 0; x < width; x += step) {
      u.push(flow[2 * (y * width + x)]!);
      v.push(flow[2 * (y * width + x) + 1]!);
    }
  }
  const middle = (values: number[]) => Float32Array.from(values).sort()[values.length >> 1] ?? 0;
  return [middle(u), middle(v)];
}
