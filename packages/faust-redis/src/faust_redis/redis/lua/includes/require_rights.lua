-- Raise an error unless the Redis user may run all of these commands. Without this check, a right that is withdrawn for a
-- moment could stop a script halfway, and a repeat would not complete it.
local function require_rights(commands)
  if not redis.acl_check_cmd then
    return
  end
  for _, command in ipairs(commands) do
    if not redis.acl_check_cmd(unpack(command)) then
      error({err = 'NOPERM this user has no permissions to run the command ' .. command[1]})
    end
  end
end
