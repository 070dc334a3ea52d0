/**
 * The built-in modules of Node that files of this machine need.
 *
 * Invariant: nothing is imported, so the files that use this are a part of the core and load in a
 * browser too. Loading them later, from a file of their own, would cost 2 ms at the first open. In
 * a browser the modules are undefined, and `node.ts` opens no file. A module that Node has not
 * loaded by itself is asked for at its use, not when varve is imported.
 */

import type fs from 'node:fs';
import type module from 'node:module';
import type net from 'node:net';
import type path from 'node:path';
import { builtinModule } from '../util/builtin-module.ts';

interface NodeModules {
  fs: typeof fs;
  module: typeof module;
  net: typeof net;
  path: typeof path;
}

/** The module; undefined without Node, whatever the type says. */
export function nodeModule<Name extends keyof NodeModules>(name: Name): NodeModules[Name] {
  return builtinModule<NodeModules[Name]>(`node:${name}`) as NodeModules[Name];
}
