-- Until now nobody read which session a mapping names, or saw to it that there is one.
UPDATE sessions SET runtime_session_id = NULL;
