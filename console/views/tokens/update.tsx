import { useState } from 'preact/hooks';
import type { UpdateToken } from '../../../package/client/requests.ts';
import type { InventoryToken, Token } from '../../../package/client/types.ts';
import { api, useAction, useReading } from '../../api.ts';
import { useViewer } from '../../caller.tsx';
import { Dialog } from '../../parts/dialog.tsx';
import { Read } from '../../parts/lists.tsx';
import { notice } from '../../parts/notices.tsx';
import { ActionForm } from '../../parts/action-form.tsx';
import { problemsOf, ScopesField, scopesOf, TextField } from '../../parts/fields.tsx';
import { ceilingOf, rolesFor } from './rights.ts';
import { nameOf } from './words.ts';

interface UpdateProps {
  readonly token: InventoryToken;
  readonly onClose: () => void;
  readonly onChanged: () => void;
}

/** Changes the name, the description or the scopes of a token. PipeOps says what they are now. */
export function UpdateDialog({ token, onClose, onChanged }: UpdateProps) {
  const { id, workspace_uuid: workspaceUuid } = token;
  const reading = useReading(
    `${workspaceUuid}/${id}`,
    async (signal) => await api.tokens.get(id, { workspace_uuid: workspaceUuid }, { signal }),
  );
  return (
    <Dialog title={`Change ${nameOf(token)}`} onClose={onClose}>
      <Read reading={reading} what="Reading it from PipeOps">
        {(now) => <UpdateForm token={token} now={now} onClose={onClose} onChanged={onChanged} />}
      </Read>
    </Dialog>
  );
}

function UpdateForm({ token, now, onClose, onChanged }: UpdateProps & { readonly now: Token }) {
  const viewer = useViewer();
  const [name, setName] = useState(now.name);
  const [description, setDescription] = useState(now.description ?? '');
  const [scopeText, setScopeText] = useState(now.scopes.join(' '));
  const scopes = scopesOf(scopeText);
  const isSame = scopes.length === now.scopes.length && scopes.every((scope) => now.scopes.includes(scope));
  // What stays as it is, is not asked for: a change of scopes is judged by what the policy says today.
  const changes: UpdateToken = {
    ...(name !== now.name && { name }),
    ...(description !== (now.description ?? '') && { description }),
    ...(!isSame && { scopes }),
  };
  const changing = useAction(async () => {
    try {
      await api.tokens.update(token.id, { workspace_uuid: token.workspace_uuid, ...changes });
      notice(`${name} is changed.`);
    } finally {
      onChanged();
    }
  });
  const { failure } = changing;
  return (
    <ActionForm
      action={changing}
      submit="Save the changes"
      isReady={Object.keys(changes).length > 0}
      shown={['name', 'description', 'scopes']}
      onCancel={onClose}
      onDone={onClose}
    >
      <TextField label="Name" value={name} onInput={setName} problems={problemsOf(failure, 'name')} isRequired />
      <TextField
        label="Description (may be empty)"
        value={description}
        onInput={setDescription}
        problems={problemsOf(failure, 'description')}
        isLong
      />
      <ScopesField
        ceiling={ceilingOf(rolesFor(viewer, 'tokens:update', token))}
        value={scopeText}
        onInput={setScopeText}
        problems={problemsOf(failure, 'scopes')}
      />
    </ActionForm>
  );
}
