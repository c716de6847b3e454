-- Raise unless the Redis user may run a command. Without these checks, a right that was withdrawn for a moment could
-- stop a script halfway, and a repeat would apply its first half twice.
local function require_right(command, ...)
    if redis.acl_check_cmd and not redis.acl_check_cmd(command, ...) then
        error({err = 'NOPERM this user has no permissions to run the command ' .. command})
    end
end
