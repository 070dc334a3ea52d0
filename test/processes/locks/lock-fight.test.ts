/**
 * Two processes fight for one store: at each moment exactly one has it, the other is told
 * `VARVE_LOCKED`, and gets it at once when the holder has closed it or was killed. What a holder
 * had committed by then is there for the next.
 *
 * Each side asks once: nothing is tried again, and nothing waits for time to pass.
 */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { Store } from '../../../src/index.ts';
import { crashScale } from '../../support/crash-scale.ts';
import { check } from '../../support/fixtures/store-checks.ts';
import type { Child } from '../child.ts';
import { randomFrom } from '../seeded.mjs';
import { childrenOfTest } from './started-children.ts';

const rounds = 12 * crashScale;
const newStores = 6 * crashScale;
const script = fileURLToPath(new URL('./contender.mjs', import.meta.url));
const locked = expect.objectContaining({ name: 'VarveError', code: 'VARVE_LOCKED' });

const started = childrenOfTest();

async function contender(): Promise<Child> {
  const child = started.start(script);
  expect(await child.line()).toBe('ready');
  return child;
}

async function ask(child: Child, order: string): Promise<string | undefined> {
  child.tell(order);
  return await child.line();
}

/** Both ask at once: who has it, and who has not. */
async function fight(path: string, both: readonly [Child, Child]): Promise<[Child, Child]> {
  for (const child of both) child.tell(`open ${path}`);
  const answers = await Promise.all(both.map((child) => child.line()));
  expect([...answers].sort()).toEqual(['VARVE_LOCKED', 'held']);
  const [one, other] = both;
  return answers[0] === 'held' ? [one, other] : [other, one];
}

it(
  'one of two processes that open a store at once gets it, and after it the other',
  async () => {
    const path = join(started.folder, 'fought-for');
    const random = randomFrom(7);
    let both: [Child, Child] = [await contender(), await contender()];
    let batch = 0;
    let kills = 0;
    for (let round = 0; round < rounds; round++) {
      const [holder, other] = await fight(path, both);
      await expect(Store.open(path)).rejects.toEqual(locked);
      batch += 1;
      expect(await ask(holder, 'commit')).toBe(`${batch}`);
      // Whoever only reads is not locked out.
      const reader = await Store.open(path, { readOnly: true });
      expect(reader.currentBatch).toBe(batch);
      await reader.close();
      expect(await ask(other, `open ${path}`)).toBe('VARVE_LOCKED');
      const isKilled = random(3) > 0;
      if (isKilled) {
        kills += 1;
        holder.kill();
        expect(await holder.ended()).toBe('SIGKILL');
      } else expect(await ask(holder, 'close')).toBe('closed');
      expect(await ask(other, `open ${path}`)).toBe('held');
      batch += 1;
      expect(await ask(other, 'commit')).toBe(`${batch}`);
      expect(await ask(other, 'close')).toBe('closed');
      both = [isKilled ? await contender() : holder, other];
    }
    const store = await Store.open(path);
    expect(store.currentBatch).toBe(batch);
    expect(store.statistics().values).toBe(batch);
    await check.sound(store);
    await store.close();
    console.log(`lock: ${rounds} fights, ${kills} holders killed, ${batch} batches`);
  },
  300_000 * crashScale,
);

it('one of two processes that create a store at once does, and the other opens that store', async () => {
  const both: [Child, Child] = [await contender(), await contender()];
  for (let round = 0; round < newStores; round++) {
    const path = join(started.folder, `new-${round}`, 'store');
    const [holder, other] = await fight(path, both);
    expect(await ask(holder, 'commit')).toBe('1');
    expect(await ask(holder, 'close')).toBe('closed');
    expect(await ask(other, `open ${path}`)).toBe('held');
    expect(await ask(other, 'commit')).toBe('2');
    expect(await ask(other, 'close')).toBe('closed');
  }
});
