/**
 * Every life that once failed, in the simulation, holds: the plans in `simulated/`, as
 * `npm run simulate` shortened and wrote them.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type FailedLife, runPlan, tick } from '../simulation/lives.ts';
import { noCounts } from '../simulation/simulation.ts';

const folder = new URL('./simulated/', import.meta.url);
const names = readdirSync(folder).filter((name) => name.endsWith('.json'));
let stopTicking: () => void;

beforeEach(() => {
  stopTicking = tick();
});

afterEach(() => stopTicking());

it('the list of lives that once failed is not empty', () => {
  expect(names.length).toBeGreaterThan(0);
});

it.each(names)('%s', async (name) => {
  const { seed, plan } = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as FailedLife;
  expect(await runPlan(plan, { seed, cutsBeside: 0.5 }, noCounts())).toBe(undefined);
});
