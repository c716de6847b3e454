-- Change fields of the session in one command, which costs less than one for each.
-- fields: members as JSON, each after a comma. An object adds its members to those of an existing one, and null
-- removes a field, so neither `_last` nor a `_turn` that is open may be changed like this.
local function change(key, fields)
    redis.call('JSON.MERGE', key, '$', '{' .. fields:sub(2) .. '}')
end
