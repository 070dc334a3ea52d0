/**
 * `npm run bench -- backup`: a copy of a store while it is open, against `cp` and a sync of the same
 * file, and against the peers' own backups of the same values.
 *
 * Of each the best of the rounds counts, with a sync of the copy: peers that make none are given one.
 * For varve also the longest block of the event loop, and commits of one client beside the backup:
 * their p99 against that without one. Every copy is removed before the next.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Store } from '../src/index.ts';
import { commitsUntil, fillPeer, storeWith, syncFile, type Values } from './support/beside.ts';
import { bytesText, tableText, timeText } from './support/figures.ts';
import { folderBytes } from './support/folder-bytes.ts';
import { LoopWatch } from './support/loop-watch.ts';
import { installedPeers } from './support/peers/installed-peers.ts';
import { ask, type FreeResult } from './support/question.ts';

const title = 'a backup of the open store';
const plainCopy = 'cp + fdatasync';
const backup = 'varve backupTo';

interface Size extends Values {
  readonly name: string;
}

/** Makes a copy at the path. */
type Copy = (path: string) => Promise<unknown> | unknown;

/** The shortest time of the rounds, milliseconds. */
async function best(rounds: number, path: string, copy: Copy): Promise<number> {
  let shortest = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const began = performance.now();
    await copy(path);
    shortest = Math.min(shortest, performance.now() - began);
    rmSync(path, { recursive: true });
  }
  return shortest;
}

/** The p99 of commits beside backups, for each p99 without. */
async function slowdown(store: Store, folder: string, rounds: number): Promise<number> {
  let count = 0;
  const alone = await commitsUntil(store, () => ++count > 500);
  let isOver = false;
  const beside = commitsUntil(store, () => isOver);
  await best(rounds, join(folder, 'beside'), (path) => store.backupTo(path));
  isOver = true;
  return (await beside) / alone;
}

async function measureSize(folder: string, size: Size, rounds: number) {
  const file = join(folder, 'bench.varve');
  const copy = join(folder, 'copy');
  const store = await storeWith(file, size);
  const plain = await best(rounds, copy, (path) => {
    execFileSync('cp', [file, path]);
    syncFile(path);
  });
  const watch = new LoopWatch();
  const own = await best(rounds, copy, (path) => watch.operate(() => store.backupTo(path)));
  const { longest } = await watch.end();
  const block = Math.min(...longest.map(({ length }) => length));
  const slower = await slowdown(store, folder, rounds);
  await store.close();
  const rows = [
    [size.name, plainCopy, timeText(plain), bytesText(statSync(file).size), '', ''],
    [size.name, backup, timeText(own), '', timeText(block), `${slower.toFixed(2)} x`],
  ];
  rmSync(file);
  for (const { name, open } of installedPeers()) {
    const home = join(folder, name);
    mkdirSync(home);
    const peer = await open(home);
    if (peer.backup !== undefined) {
      await fillPeer(peer, size);
      const time = await best(rounds, copy, async (path) => {
        await peer.backup?.(path);
        if (statSync(path).isFile()) syncFile(path);
      });
      rows.push([size.name, name, timeText(time), bytesText(folderBytes(home)), '', '']);
    }
    await peer.close();
    rmSync(home, { recursive: true });
  }
  return { rows, figures: { rate: plain / own, block, slower } };
}

async function measure(folder: string, quick: boolean): Promise<FreeResult> {
  const part = quick ? 10 : 1;
  const sizes: readonly Size[] = [
    { name: '100 bytes', bytes: 100, values: 500_000 / part },
    { name: '2 KiB', bytes: 2048, values: 50_000 / part },
    { name: '1 MiB', bytes: 2 ** 20, values: 150 / part },
  ];
  const rows: string[][] = [];
  const figures: Record<string, number> = {};
  for (const size of sizes) {
    const found = await measureSize(folder, size, quick ? 2 : 3);
    rows.push(...found.rows);
    for (const [name, value] of Object.entries(found.figures)) {
      figures[`${size.name}: ${name}`] = value;
    }
  }
  const head = ['values of', '', 'time', 'source', 'longest block', 'p99 of commits beside'];
  return { text: tableText(head, rows), figures };
}

await ask({
  name: 'backup',
  title: 'Backups of an open store',
  peers: true,
  sections: (quick) => [{ title, measure: (folder) => measure(folder, quick) }],
  goals: [
    {
      text: 'values of 1 MiB at >= 0.7 of the speed of cp and a sync',
      least: 0.7,
      fullOnly: true,
      value: ({ figure }) => figure(title, '1 MiB: rate'),
    },
    {
      text: 'no block of the event loop over 10 ms, values of 100 bytes',
      most: 10,
      value: ({ figure }) => figure(title, '100 bytes: block'),
    },
    {
      text: 'p99 of commits beside it <= 2 x that without, values of 2 KiB',
      most: 2,
      fullOnly: true,
      value: ({ figure }) => figure(title, '2 KiB: slower'),
    },
  ],
});
