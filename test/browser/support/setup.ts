import { afterAll, afterEach } from 'vitest';
import { closeBrowser, expectNothingWrong, takePicturesOfFailure } from './visit.ts';

// What nobody has announced fails the test in which it happens. Of a test that has failed there is a picture of each page.
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await takePicturesOfFailure(task.name);
  await expectNothingWrong();
});
afterAll(closeBrowser);
