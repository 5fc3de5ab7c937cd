local function dedup_ttl(decision) return 300 * s end

return {
  dedup_ttl = dedup_ttl,
  tests = {
    function() assert(dedup_ttl({}) == 60 * s, "a minute is enough") end,
  },
}
