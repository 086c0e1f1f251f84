/**
 * Pictures in bands of rows, for activations that are too large for one tensor or for the memory there is.
 *
 * A banded network computes what the whole one computes, value by value: a convolution of a band reads the neighbouring
 * bands' rows (never zeros in their place), a group norm sums over all bands. Nothing is blended or left out.
 *
 * A RowSource gives rows when asked for and may make them then; RowBands hold them. `store` turns sources into bands, one
 * band of each after the other: what a band was made of dies before the next one is made. Nodes run in the order in which
 * they are appended, so the order of asking is the order of work.
 *
 * A picture that is one band is an ordinary tensor, of any number of samples; several bands are of one sample.
 */
import { InternalError, ShapeError } from '../../core/errors';
import type { Graph } from '../../graph/graph';
import type { Tensor } from '../../graph/tensor';
import { conv2d, type Conv2dOptions } from '../../ops/conv2d';
import { concatRows, reshape, sliceRows } from '../../ops/view';

/** Rows of a picture, made when asked for. */
export interface RowSource {
  readonly height: number;
  /** Rows [from, to): [B, to - from, W, C]. What they take is appended to the graph, once. */
  rows(from: number, to: number): Tensor;
}

/** A source that makes rows by `make`. */
export function rowSource(height: number, make: (from: number, to: number) => Tensor): RowSource {
  const made = new Map<string, Tensor>();
  return {
    height,
    rows(from, to) {
      const key = `${from} ${to}`;
      const known = made.get(key) ?? make(from, to);
      made.set(key, known);
      return known;
    },
  };
}

/** Rows [from, to) of x [1, H, W, C], a view. @throws ShapeError when it has several samples and more rows */
function sliceHeight(graph: Graph, x: Tensor, from: number, to: number): Tensor {
  if (from === 0 && to === x.dim(1)) return x;
  const [batch, height, width, channels] = x.shape as readonly [number, number, number, number];
  if (batch !== 1) throw new ShapeError(`row bands: one picture at a time: ${x.describe()}`);
  const part = sliceRows(graph, reshape(graph, x, [height, width, channels]), from, to);
  return reshape(graph, part, [1, to - from, width, channels]);
}

/** [1, h, W, C] one below the other. */
export function concatHeight(graph: Graph, parts: readonly Tensor[]): Tensor {
  if (parts.length === 1) return parts[0]!;
  const [, , width, channels] = parts[0]!.shape as readonly [number, number, number, number];
  const joined = concatRows(
    graph,
    parts.map((part) => reshape(graph, part, [part.dim(1), width, channels])),
  );
  return reshape(graph, joined, [1, joined.dim(0), width, channels]);
}

/** A picture that is there, as bands [B, rows, W, C] from top to bottom: equal ones but for the last. */
export class RowBands implements RowSource {
  readonly bands: readonly Tensor[];
  readonly height: number;
  readonly #graph: Graph;

  constructor(graph: Graph, bands: readonly Tensor[]) {
    if (bands.length === 0) throw new InternalError('row bands: at least one band: none given');
    this.#graph = graph;
    this.bands = bands;
    this.height = bands.reduce((sum, band) => sum + band.dim(1), 0);
  }

  get channels(): number {
    return this.bands[0]!.width;
  }

  /** Views that make up rows [from, to), one of each band they touch. */
  parts(from: number, to: number): Tensor[] {
    const parts: Tensor[] = [];
    let start = 0;
    for (const band of this.bands) {
      const end = start + band.dim(1);
      const [first, last] = [Math.max(from, start), Math.min(to, end)];
      if (first < last) parts.push(sliceHeight(this.#graph, band, first - start, last - start));
      start = end;
    }
    return parts;
  }

  rows(from: number, to: number): Tensor {
    return concatHeight(this.#graph, this.parts(from, to));
  }

  /** The picture as one tensor. */
  whole(): Tensor {
    return this.rows(0, this.height);
  }
}

/** Where bands of at most `bandRows` rows begin and end in a picture of `height`; as equal as whole rows allow. */
export function cutRows(height: number, bandRows: number): [from: number, to: number][] {
  const count = Math.ceil(height / Math.max(1, Math.min(bandRows, height)));
  const rows = Math.ceil(height / count);
  return Array.from({ length: Math.ceil(height / rows) }, (_, i) => [
    i * rows,
    Math.min((i + 1) * rows, height),
  ]);
}

/** Makes pictures of one height, band after band: of each source the first band, then of each the second. */
export function storeTogether(
  graph: Graph,
  sources: readonly RowSource[],
  bandRows: number,
): readonly RowBands[] {
  const { height } = sources[0]!;
  const bands = sources.map((): Tensor[] => []);
  for (const [from, to] of cutRows(height, bandRows)) {
    sources.forEach((source, index) => bands[index]!.push(source.rows(from, to)));
  }
  return bands.map((own) => new RowBands(graph, own));
}

/** Makes a picture, band after band. */
export function store(graph: Graph, source: RowSource, bandRows: number): RowBands {
  return storeTogether(graph, [source], bandRows)[0]!;
}

/** `each` of every part of x, a function of single pixels. Its nodes are appended under the scope `name`. */
export function mapRows(graph: Graph, name: string, x: RowSource, each: (rows: Tensor) => Tensor): RowSource {
  return rowSource(x.height, (from, to) => {
    const parts = x instanceof RowBands ? x.parts(from, to) : [x.rows(from, to)];
    // results of parts are made in place in the whole, where parts themselves would be copied
    return graph.scope(name, () => concatHeight(graph, parts.map(each)));
  });
}

export interface ConvolutionOptions extends Omit<Conv2dOptions, 'rows' | 'residual'> {
  /** Added to the result. */
  readonly residual?: RowSource | undefined;
}

/** 3 x 3 convolution of x by w [O, 3, 3, I], as conv2d has it. Its nodes are appended under the scope `name`. */
export function convolutionRows(
  graph: Graph,
  name: string,
  x: RowSource,
  w: Tensor,
  options: ConvolutionOptions = {},
): RowSource {
  const { residual, ...form } = options;
  const { stride = 1, upsample = 1, padding = stride === 2 ? 'bottom-right' : 'both' } = form;
  const above = padding === 'both' ? 1 : 0;
  const enlarged = x.height * upsample;
  const height = Math.floor((enlarged + above + 1 - 3) / stride) + 1;
  return rowSource(height, (from, to) => {
    // rows of the enlarged picture that the first and the last row of the result see, zeros around it included
    const first = from * stride - above;
    const end = (to - 1) * stride - above + 3;
    const [start, stop] = [
      Math.floor(Math.max(0, first) / upsample),
      Math.ceil(Math.min(enlarged, end) / upsample),
    ];
    const input = x.rows(start, stop);
    const added = residual?.rows(from, to);
    return graph.scope(name, () =>
      conv2d(graph, input, w, {
        ...form,
        rows: { top: start * upsample - first, bottom: end - stop * upsample },
        ...(added && { residual: added }),
      }),
    );
  });
}
