"""Links: their effects on packets, as data and pure logic; nothing here touches the network."""
