/**
 * What package.json promises: runs nothing when it is installed, brings one optional dependency, shows its
 * types first, and builds the same from one day to the next.
 *
 * What the packed package does once it is installed is not tested here: `npm run check:package`
 * installs it and uses it.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

interface Manifest {
  readonly type: string;
  readonly exports: Record<string, string | Record<string, string>>;
  readonly scripts: Record<string, string>;
  readonly dependencies?: Record<string, string>;
  readonly optionalDependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
}

const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
const manifest = JSON.parse(text) as Manifest;

describe('package.json', () => {
  it('runs nothing when the package is installed', () => {
    const onInstall = ['preinstall', 'install', 'postinstall', 'prepublish', 'prepare'];
    expect(Object.keys(manifest.scripts).filter((name) => onInstall.includes(name))).toEqual([]);
  });

  it('has the scripts that the documents name', () => {
    expect(Object.keys(manifest.scripts)).toEqual(
      expect.arrayContaining(['build', 'test', 'demo', 'check', 'bench', 'format']),
    );
  });

  it('needs no package, and can do without the native one', () => {
    expect(Object.keys(manifest.dependencies ?? {})).toEqual([]);
    expect(Object.keys(manifest.optionalDependencies)).toEqual(['fs-native-extensions']);
  });

  it('names one exact version of each development tool', () => {
    const loose = Object.entries(manifest.devDependencies).filter(
      ([, version]) => !/^\d+\.\d+\.\d+$/.test(version),
    );
    expect(loose).toEqual([]);
  });

  it('exports ESM only, types first', () => {
    expect(manifest.type).toBe('module');
    const entries = Object.values(manifest.exports).filter((entry) => typeof entry !== 'string');
    expect(entries.map((entry) => Object.keys(entry))).toEqual(
      entries.map(() => ['types', 'default']),
    );
    expect(entries).toContainEqual({ types: './dist/index.d.ts', default: './dist/index.js' });
  });
});
