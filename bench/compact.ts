/**
 * `npm run bench -- compact`: `Store.compact` after the older half of the values has been deleted,
 * against `cp` and a sync of the file that it leaves, and against what the peers have for it.
 *
 * Each round compacts a store of its own; the best counts. The longest block of the event loop is
 * that of the best round too. Commits of one client run beside the compaction of one more store:
 * their p99 against that without.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { GrainId, Store } from '../src/index.ts';
import { commitsUntil, fillPeer, storeWith, syncFile, type Values } from './support/beside.ts';
import { bytesText, tableText, timeText } from './support/figures.ts';
import { folderBytes } from './support/folder-bytes.ts';
import { LoopWatch } from './support/loop-watch.ts';
import { installedPeers } from './support/peers/installed-peers.ts';
import { ask, type FreeResult } from './support/question.ts';

const title = 'after the older half is deleted';
const removedTogether = 500;

interface Size extends Values {
  readonly name: string;
}

/** A store without the older half of its values, all of which are freed. */
async function halved(path: string, size: Size): Promise<Store> {
  const ids: GrainId[] = [];
  const store = await storeWith(path, size, ids);
  const old = ids.slice(0, size.values / 2);
  for (let at = 0; at < old.length; at += removedTogether) {
    const session = store.session();
    for (const id of old.slice(at, at + removedTogether)) session.archive(id);
    await session.commit();
  }
  await store.checkpointTo(store.currentBatch);
  return store;
}

function fileBytes(path: string): number {
  return statSync(path).size;
}

interface Compacted {
  readonly ms: number;
  readonly block: number;
  readonly before: number;
  readonly after: number;
}

async function compacted(path: string, size: Size): Promise<Compacted> {
  const store = await halved(path, size);
  const before = fileBytes(path);
  const watch = new LoopWatch();
  const began = performance.now();
  await watch.operate(() => store.compact());
  const ms = performance.now() - began;
  const { longest } = await watch.end();
  const after = fileBytes(path);
  await store.close();
  return { ms, block: Math.max(...longest.map(({ length }) => length)), before, after };
}

/** The p99 of commits beside a compaction, for each p99 without. */
async function slowdown(path: string, size: Size): Promise<number> {
  const store = await halved(path, size);
  let count = 0;
  const alone = await commitsUntil(store, () => ++count > 500);
  let isOver = false;
  const beside = commitsUntil(store, () => isOver);
  await store.compact();
  isOver = true;
  const slower = (await beside) / alone;
  await store.close();
  rmSync(path);
  return slower;
}

/** Milliseconds of the quickest copy of the file. */
function copied(file: string, target: string, rounds: number): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const began = performance.now();
    execFileSync('cp', [file, target]);
    syncFile(target);
    best = Math.min(best, performance.now() - began);
    rmSync(target);
  }
  return best;
}

async function peerRow(
  folder: string,
  size: Size,
  kind: ReturnType<typeof installedPeers>[number],
) {
  const home = join(folder, kind.name);
  mkdirSync(home);
  const peer = await kind.open(home);
  let row: string[] | undefined;
  if (peer.shrink !== undefined) {
    await fillPeer(peer, size);
    for (let at = 0; at < size.values / 2; at += removedTogether) {
      const count = Math.min(removedTogether, size.values / 2 - at);
      await peer.remove(Array.from({ length: count }, (_, key) => at + key));
    }
    const before = folderBytes(home);
    const began = performance.now();
    await peer.shrink();
    const ms = performance.now() - began;
    row = [
      size.name,
      kind.name,
      timeText(ms),
      bytesText(before),
      bytesText(folderBytes(home)),
      '',
      '',
    ];
  }
  await peer.close();
  rmSync(home, { recursive: true });
  return row;
}

async function measureSize(folder: string, size: Size, rounds: number) {
  const file = join(folder, 'bench.varve');
  const found: Compacted[] = [];
  let plain = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    found.push(await compacted(file, size));
    plain = Math.min(plain, copied(file, join(folder, 'copy'), rounds));
    rmSync(file);
  }
  const [best] = found.sort((one, other) => one.ms - other.ms) as [Compacted, ...Compacted[]];
  const fresh = join(folder, 'fresh.varve');
  await (await storeWith(fresh, { ...size, values: size.values / 2 })).close();
  const share = best.after / fileBytes(fresh);
  rmSync(fresh);
  const slower = await slowdown(file, size);
  const sizes = [bytesText(best.before), `${bytesText(best.after)}, ${share.toFixed(2)} x fresh`];
  const beside = [timeText(best.block), `${slower.toFixed(2)} x`];
  const rows = [
    [size.name, 'cp + fdatasync of the file after', timeText(plain), '', '', '', ''],
    [size.name, 'varve compact', timeText(best.ms), ...sizes, ...beside],
  ];
  for (const kind of installedPeers()) {
    const row = await peerRow(folder, size, kind);
    if (row !== undefined) rows.push(row);
  }
  return { rows, figures: { rate: plain / best.ms, share, block: best.block, slower } };
}

async function measure(folder: string, quick: boolean): Promise<FreeResult> {
  const part = quick ? 10 : 1;
  const sizes: readonly Size[] = [
    { name: '100 bytes', bytes: 100, values: 500_000 / part },
    { name: '2 KiB', bytes: 2048, values: 50_000 / part },
    { name: '1 MiB', bytes: 2 ** 20, values: 120 / part },
  ];
  const rows: string[][] = [];
  const figures: Record<string, number> = {};
  for (const size of sizes) {
    const found = await measureSize(folder, size, 2);
    rows.push(...found.rows);
    for (const [name, value] of Object.entries(found.figures)) {
      figures[`${size.name}: ${name}`] = value;
    }
  }
  const columns = ['time', 'before', 'after', 'longest block', 'p99 of commits beside'];
  return { text: tableText(['values of', '', ...columns], rows), figures };
}

await ask({
  name: 'compact',
  title: 'Compaction of an open store',
  peers: true,
  sections: (quick) => [{ title, measure: (folder) => measure(folder, quick) }],
  goals: [
    {
      text: 'the file of values of 2 KiB within 1.2 times a fresh one',
      most: 1.2,
      value: ({ figure }) => figure(title, '2 KiB: share'),
    },
    {
      text: 'no block of the event loop over 10 ms, values of 100 bytes',
      most: 10,
      value: ({ figure }) => figure(title, '100 bytes: block'),
    },
    {
      text: 'p99 of commits beside it <= 2 x that without, values of 1 MiB',
      most: 2,
      fullOnly: true,
      value: ({ figure }) => figure(title, '1 MiB: slower'),
    },
  ],
});
