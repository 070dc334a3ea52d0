/**
 * Real processes: one moves money between accounts, three read beside it. No sum is wrong, no
 * finding is false, no opening is refused; the only error is `VARVE_SNAPSHOT_GONE`.
 *
 * It ends with the writer's last transfer, not with time; `npm run simulate:readers` makes many
 * more (VARVE_READERS_TRANSFERS).
 */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeTemporaryFolder, removeTemporaryFolder } from '../support/temporary-folder.ts';
import { Child } from './child.ts';

const transfers = Number(process.env['VARVE_READERS_TRANSFERS'] ?? 1500);
const timeLimit = 120_000 + transfers * 60;
const scriptOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

interface Told {
  readonly opened: number;
  readonly sums: number;
  readonly verified: number;
  readonly gone: number;
  readonly moved: number;
}

let folder: string;

beforeAll(() => {
  folder = makeTemporaryFolder();
});

afterAll(() => removeTemporaryFolder(folder));

it(
  'readers beside a writer that moves money see one sum, whatever is freed and used again',
  async () => {
    const path = join(folder, 'accounts');
    const writer = new Child(scriptOf('./accounts-writer.mjs'), path, String(transfers));
    expect(await writer.line()).toBe('ready');
    const readers = [1, 2, 3].map(() => new Child(scriptOf('./accounts-reader.mjs'), path));
    expect(await writer.line()).toBe('done');
    const told: Told[] = [];
    for (const reader of readers) {
      const left = reader.leave();
      const line = (await reader.line()) ?? 'nothing';
      expect(line).toMatch(/^\{/);
      told.push(JSON.parse(line) as Told);
      await left;
    }
    await writer.leave();
    console.info(`${transfers} transfers:`, JSON.stringify(told));
    for (const { opened, sums, verified } of told) {
      expect(Math.min(opened, sums, verified)).toBeGreaterThan(0);
    }
  },
  timeLimit,
);
