/** Roots that one writer encodes in a row: each is as a new writer would encode it. */

import { expect, it } from 'vitest';
import {
  encodeForestRoot,
  encodeSealedRoot,
  type ForestRoot,
  RootWriter,
} from '../../../src/forest/journal/forest-root.ts';
import { emptyRoot, NodeRef, type TreeRoot } from '../../../src/forest/nodes/node.ts';
import { NodeCache } from '../../../src/forest/nodes/node-cache.ts';
import { NodeStore } from '../../../src/forest/nodes/node-store.ts';
import { type GrainId, Store } from '../../../src/index.ts';
import { expectSameBytes } from '../../support/bytes.ts';

const store = await Store.inMemory();
const nodes = new NodeStore(store, undefined, new NodeCache(store.memory));

function treeAt(low: number): TreeRoot {
  return { ref: NodeRef.at(low, 0x0101_0000, 0), count: 1, long: false };
}

function rootWith(stored: Partial<ForestRoot>): ForestRoot {
  const lists = { pending: [], written: [], changes: [] };
  const chain = { depth: 0, earlier: undefined, listed: 0 };
  return { catalog: emptyRoot, shares: emptyRoot, nextSeal: 1, ...lists, ...chain, ...stored };
}

function bytesOf(root: ForestRoot): Uint8Array {
  return encodeSealedRoot({ vault: '', seal: 0, body: encodeForestRoot(root) });
}

it('begins each root with the trees and the number that are its own', () => {
  const writer = new RootWriter();
  const [catalog, shares] = [treeAt(3), treeAt(5)];
  const log = { tree: 'years', log: new Uint8Array(70_000).fill(7) };
  const roots = [
    rootWith({ catalog, shares }),
    rootWith({ catalog, shares, pending: [9n as GrainId] }),
    rootWith({ catalog, shares, changes: [log] }),
    rootWith({ catalog, shares, nextSeal: 300 }),
    rootWith({ catalog: treeAt(4), shares, nextSeal: 300 }),
    rootWith({ catalog, shares: treeAt(6), nextSeal: 300 }),
    rootWith({ catalog, shares }),
  ];
  for (const root of roots) expectSameBytes(writer.encode(nodes, root, 0), bytesOf(root));
});

it('begins anew after a root that could not be encoded', () => {
  const writer = new RootWriter();
  const known = rootWith({ catalog: treeAt(3), shares: treeAt(5) });
  writer.encode(nodes, known, 0);
  const unstored = { ref: new NodeRef(), count: 1, long: false };
  const refused = rootWith({ catalog: treeAt(4), shares: unstored });
  expect(() => writer.encode(nodes, refused, 0)).toThrow('a root is stored');
  expectSameBytes(writer.encode(nodes, known, 0), bytesOf(known));
});
