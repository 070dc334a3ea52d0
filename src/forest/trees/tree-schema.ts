/**
 * A tree as `Forest.tree` was called for it: codecs, reducer, and the config that is stored with
 * the tree.
 *
 * Invariant: the same names and lengths give the same config. A tree is read and written only with
 * a config like the one that it was made with. It holds no state of the tree.
 */

import {
  type Codec,
  CodecUse,
  encodePart,
  guarded,
  type KeyCodec,
  type Reducer,
} from '../../codecs/codec.ts';
import { codecs } from '../../codecs/codecs.ts';
import { invalidArgument, VarveError } from '../../errors.ts';
import { checkNames, type NamesOf } from '../../util/options.ts';
import type { TreeShape } from '../nodes/node.ts';
import {
  type ForestLimits,
  fixedBytesMax,
  historyShapeOf,
  shapeOf,
  type TreeConfig,
} from './tree-record.ts';

export interface TreeOptions<K, V, R> {
  /** Default: bytes, ordered by unsigned comparison. */
  key?: KeyCodec<K> | undefined;
  value?: Codec<V> | undefined;
  /** A value kept in every node over the entries below, so that ranges are summed in O(log n). */
  reducer?: Reducer<K, V, R> | undefined;
  /** Keeps every change under a sequence number. Default false. */
  versioned?: boolean | undefined;
}

const names: NamesOf<TreeOptions<unknown, unknown, unknown>> = {
  key: true,
  value: true,
  reducer: true,
  versioned: true,
};

export class TreeSchema<K, V, R> {
  readonly name: string;
  readonly keys: CodecUse<K>;
  readonly values: CodecUse<V>;
  readonly reducer: Reducer<K, V, R> | undefined;
  readonly config: TreeConfig;
  readonly shape: TreeShape;
  readonly historyShape: TreeShape;

  constructor(name: string, options: TreeOptions<K, V, R>, limits: ForestLimits) {
    checkNames('Forest.tree', options, names);
    // Without codecs the types are bytes: the overloads of `Forest.tree` say so.
    const bytes = codecs.bytes as unknown;
    const { key = bytes as KeyCodec<K>, value = bytes as Codec<V> } = options;
    const { reducer, versioned = false } = options;
    if (typeof versioned !== 'boolean') {
      throw invalidArgument('Forest.tree: versioned', 'true or false', versioned);
    }
    this.name = name;
    this.keys = new CodecUse('Forest.tree: key', key);
    this.values = new CodecUse('Forest.tree: value', value);
    if (key.ordered !== true) {
      throw invalidArgument('Forest.tree: key', 'a codec that is ordered', key);
    }
    this.reducer = reducer;
    const valueBytes = this.values.codec.byteLength ?? -1;
    this.config = {
      keyCodec: this.keys.codec.name,
      valueCodec: this.values.codec.name,
      reducer: reducer?.name ?? '',
      versioned,
      keyBytes: this.keys.codec.byteLength ?? -1,
      valueBytes: valueBytes > fixedBytesMax ? -1 : valueBytes,
      partBytes: reducer === undefined ? -1 : partBytesOf(reducer),
    };
    this.shape = shapeOf(this.config, limits);
    this.historyShape = historyShapeOf(this.config, limits);
  }

  /**
   * A put of this value changes its entry only: once the leaf is found, no user code runs and
   * nothing more is read.
   */
  isPlain(value: Uint8Array): boolean {
    const { config, reducer, shape } = this;
    return value.length <= shape.inlineBytesMax && !config.versioned && reducer === undefined;
  }
}

function partBytesOf<K, V, R>(reducer: Reducer<K, V, R>): number {
  const functions = [reducer?.map, reducer?.reduce, reducer?.encode, reducer?.decode];
  const isReducer =
    typeof reducer?.name === 'string' &&
    reducer.name !== '' &&
    functions.every((one) => typeof one === 'function');
  if (!isReducer) {
    const expected = 'a reducer with name, map, reduce, encode and decode';
    throw invalidArgument('Forest.tree: reducer', expected, reducer);
  }
  if (reducer.byteLength !== undefined) return reducer.byteLength;
  const neutral = guarded(reducer, 'reduce', () => reducer.reduce([]));
  return encodePart(reducer, neutral).length;
}

/** Throws `VARVE_TREE_MISMATCH` if the tree was made with other codecs than those given. */
export function checkConfig(name: string, made: TreeConfig, asked: TreeConfig): void {
  const differs = (Object.keys(made) as (keyof TreeConfig)[]).find(
    (field) => field !== 'partBytes' && made[field] !== asked[field],
  );
  if (differs === undefined) return;
  const message = `the tree '${name}' was made with another ${differs}`;
  const facts = { expected: made[differs], actual: asked[differs] };
  throw new VarveError('VARVE_TREE_MISMATCH', message, facts);
}
