import { expect, it } from 'vitest';
import { changedLines } from './since.ts';

it('reads the lines that a diff without context changes, and those beside a gap', () => {
  const diff = `diff --git a/src/a.ts b/src/a.ts
--- a/src/a.ts
+++ b/src/a.ts
@@ -1 +1 @@ import
-old
+new
@@ -9,2 +9,3 @@ function a() {
+added
+added
+added
@@ -20,4 +22,0 @@
diff --git a/src/gone.ts b/src/gone.ts
--- a/src/gone.ts
+++ /dev/null
@@ -1,2 +0,0 @@
`;
  expect([...changedLines(diff)]).toEqual([
    [
      'src/a.ts',
      [
        { first: 1, last: 1 },
        { first: 9, last: 11 },
        { first: 22, last: 23 },
      ],
    ],
  ]);
});
