/**
 * Every program that once failed, in the simulation of forests, keeps every rule: the plans in
 * `forest-simulated/`, as `npm run simulate:forest` shortened and wrote them.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { type FailedProgram, noCounts, runPlan } from '../forest-simulation/campaign.ts';

const folder = new URL('./forest-simulated/', import.meta.url);
const names = readdirSync(folder).filter((name) => name.endsWith('.json'));

it('the list of programs that once failed is not empty', () => {
  expect(names.length).toBeGreaterThan(0);
});

it.each(names)('%s', async (name) => {
  const { seed, plan } = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as FailedProgram;
  expect(await runPlan(plan, seed, noCounts())).toBe(undefined);
});
